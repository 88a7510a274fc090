"""`volumes`: the volumes of the stack."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.verbs.volume_ls import show


def register() -> Verb:
    return Verb(
        name="volumes",
        summary="The stack's volumes",
        options=(
            option("-q --quiet", "names only"),
            option("--format", "table or json", "FORMAT", choices=("table", "json")),
        ),
        run=run,
        text="JSON: as of `volume ls`.",
    )


def run(context: Context, arguments: Arguments) -> int:
    return show(context, arguments, context.project().name)
