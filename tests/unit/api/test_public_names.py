"""What programs may import: a change here is a change of the public interface."""

import subprocess
import sys

import stackfile
from stackfile import api


def test_names_of_the_package() -> None:
    assert dir(stackfile) == [
        "Client", "LoadOptions", "StackfileError", "__version__", "apply", "connect", "load", "plan",
    ]  # fmt: skip


def test_names_of_the_api() -> None:
    assert dir(api) == [
        "Client", "Form", "Formatted", "Hijacked", "LastChange", "LoadOptions", "LogLine", "Ping", "Reader",
        "RecordingReader", "Rule", "Warned", "apply", "config", "configuration", "connect", "environment",
        "environment_names", "error_from_plain", "formatted_files", "from_document", "graph", "last_change", "lint",
        "lint_rules", "load", "plan", "read_plan", "schema", "settings", "text_of", "to_document", "to_plain",
        "variables", "write_formatted",
    ]  # fmt: skip


def test_every_name_is_there() -> None:
    for module in (stackfile, api):
        for name in dir(module):
            assert getattr(module, name) is not None


def loaded(statement: str) -> set[str]:
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_is_lazy() -> None:
    assert not {"stackfile.api", "msgspec", "yaml"} & loaded("import stackfile")


def test_the_client_needs_no_language_and_no_event_loop() -> None:
    heavy = {"asyncio", "aiohttp", "yaml", "jinja2", "networkx", "stackfile.language", "stackfile.graph"}
    assert not heavy & loaded("import stackfile; stackfile.connect; stackfile.Client; stackfile.plan")
