"""`schema`: the JSON Schema of stack files, for editors and other programs."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context


def register() -> Verb:
    return Verb(name="schema", summary="Print the JSON Schema of stack files; needs no engine", run=run)


def run(context: Context, arguments: Arguments) -> int:
    from stackfile import api

    context.console.print(api.schema().rstrip("\n"))
    return 0
