"""What programs and the command line use: load stack files, and reach an engine over HTTP.

What belongs here: the client of the daemon's API, starting the embedded engine, reading files with the caller's
rights. What does not: deciding what to change (reconcile), printing (cli). Names are imported on first use, because a
client's start-up time is felt at every command.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stackfile.api.client import Client
    from stackfile.api.formatting import Formatted, formatted_files, write_formatted
    from stackfile.api.hijacked import Hijacked
    from stackfile.api.history import LastChange, last_change
    from stackfile.api.inputs import RecordingReader
    from stackfile.api.launch import connect
    from stackfile.api.replies import LogLine, Ping
    from stackfile.api.stacks import (
        apply,
        config,
        configuration,
        environment,
        environment_names,
        graph,
        lint,
        lint_rules,
        load,
        plan,
        schema,
        settings,
        text_of,
        variables,
    )
    from stackfile.language import Form, LoadOptions, Reader, Warned
    from stackfile.language.linting import Rule
    from stackfile.wire import error_from_plain, from_document, read_plan, to_document, to_plain

_HOMES = {
    "Client": "stackfile.api.client",
    "Formatted": "stackfile.api.formatting",
    "Hijacked": "stackfile.api.hijacked",
    "LastChange": "stackfile.api.history",
    "Form": "stackfile.language",
    "LoadOptions": "stackfile.language",
    "LogLine": "stackfile.api.replies",
    "Ping": "stackfile.api.replies",
    "Reader": "stackfile.language",
    "RecordingReader": "stackfile.api.inputs",
    "Rule": "stackfile.language.linting",
    "Warned": "stackfile.language",
    "apply": "stackfile.api.stacks",
    "config": "stackfile.api.stacks",
    "configuration": "stackfile.api.stacks",
    "connect": "stackfile.api.launch",
    "environment": "stackfile.api.stacks",
    "environment_names": "stackfile.api.stacks",
    "error_from_plain": "stackfile.wire",
    "formatted_files": "stackfile.api.formatting",
    "from_document": "stackfile.wire",
    "graph": "stackfile.api.stacks",
    "last_change": "stackfile.api.history",
    "lint": "stackfile.api.stacks",
    "lint_rules": "stackfile.api.stacks",
    "load": "stackfile.api.stacks",
    "plan": "stackfile.api.stacks",
    "read_plan": "stackfile.wire",
    "schema": "stackfile.api.stacks",
    "settings": "stackfile.api.stacks",
    "text_of": "stackfile.api.stacks",
    "to_document": "stackfile.wire",
    "to_plain": "stackfile.wire",
    "variables": "stackfile.api.stacks",
    "write_formatted": "stackfile.api.formatting",
}

__all__ = [
    "Client",
    "Form",
    "Formatted",
    "Hijacked",
    "LastChange",
    "LoadOptions",
    "LogLine",
    "Ping",
    "Reader",
    "RecordingReader",
    "Rule",
    "Warned",
    "apply",
    "config",
    "configuration",
    "connect",
    "environment",
    "environment_names",
    "error_from_plain",
    "formatted_files",
    "from_document",
    "graph",
    "last_change",
    "lint",
    "lint_rules",
    "load",
    "plan",
    "read_plan",
    "schema",
    "settings",
    "text_of",
    "to_document",
    "to_plain",
    "variables",
    "write_formatted",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
