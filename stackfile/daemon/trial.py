"""`python -I -m stackfile.daemon.trial`: whether this version would do as an engine here, asked by the present one.

Imports what the engine's processes import, and prints one line of JSON: {"version", "schemas": [state.db, run.db]}.
"""

from __future__ import annotations

import importlib
import json
import sys

import stackfile
from stackfile.store.schema import RUN, STATE

_PROGRAMS = (
    "stackfile.supervisor.server",
    "stackfile.runtime.shim",
    "stackfile.resolver.server",
    "stackfile.daemon.composition",
    "stackfile.worker.zygote",
    "stackfile.cli",
)


def main() -> None:
    for name in _PROGRAMS:
        importlib.import_module(name)
    json.dump({"version": stackfile.__version__, "schemas": [len(STATE), len(RUN)]}, sys.stdout)


if __name__ == "__main__":
    main()
