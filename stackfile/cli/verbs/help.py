"""`help`: the pages of help."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context


def register() -> Verb:
    return Verb(
        name="help", summary="Help on a verb, on exit-codes, on environment", run=run, operands="[VERB]", maximum=2
    )


def run(context: Context, arguments: Arguments) -> int:
    from stackfile.cli.help import text

    context.console.print(text(arguments.positional))
    return 0
