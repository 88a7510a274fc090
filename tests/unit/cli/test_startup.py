"""What a cheap verb must not import: start-up is felt at every command."""

from __future__ import annotations

from tests.unit.imported import imported

HEAVY = {"yaml", "jinja2", "networkx", "aiohttp", "asyncio", "jsonschema", "requests", "argparse", "pyroute2"}


def test_version_imports_next_to_nothing() -> None:
    modules = imported("from stackfile.cli import main\nmain(['version'])")
    assert not modules & (HEAVY | {"json", "msgspec", "http.client", "stackfile.api"})


def test_hot_verbs_do_not_load_the_language() -> None:
    modules = imported(
        "import stackfile.cli.verbs.exec, stackfile.cli.verbs.container_run, stackfile.cli.verbs.ps\n"
        "import stackfile.api.client, stackfile.api.launch"
    )
    assert not modules & (HEAVY | {"stackfile.language", "stackfile.graph"})
