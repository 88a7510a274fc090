"""`version`: of this program; fast, without an engine."""

from __future__ import annotations

import os
import sys

import stackfile
from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context


def register() -> Verb:
    return Verb(name="version", summary="Version of stackfile", run=run)


def run(context: Context, arguments: Arguments) -> int:
    version = {"version": stackfile.__version__, "python": _python()}
    if context.console.json:
        context.console.document(version)
    else:
        context.console.print(f"stackfile {version['version']} (Python {version['python']}, {os.uname().machine})")
    return 0


def _python() -> str:
    return ".".join(str(part) for part in sys.version_info[:3])
