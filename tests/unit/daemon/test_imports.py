"""What the engine's processes have in memory: YAML and templates of users are for their own processes alone."""

from __future__ import annotations

import pytest

from tests.unit.imported import imported

PROGRAMS = {
    "daemon": "import stackfile.daemon.later as later, stackfile.daemon.__main__ as d; d.routes.find(); later._load()",
    "shim": "import stackfile.runtime.shim",
    "resolver": "import stackfile.resolver.__main__",
    "supervisor": "import stackfile.supervisor.__main__",
}
USERS = {"yaml", "jinja2", "jsonschema"}
HEAVY = USERS | {"aiohttp", "asyncio", "networkx", "requests", "pyroute2", "sqlite3"}


@pytest.mark.parametrize(
    ("program", "refused"),
    [("daemon", USERS), ("shim", HEAVY), ("resolver", HEAVY - {"asyncio"}), ("supervisor", HEAVY | {"subprocess"})],
)
def test_only_what_it_needs(program: str, refused: set[str]) -> None:
    modules = imported(PROGRAMS[program])
    assert not modules & refused
    assert not {"stackfile.cli", "stackfile.api"} & modules
