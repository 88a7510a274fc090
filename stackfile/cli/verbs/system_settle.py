"""`system settle`: until nothing is done in the background any more."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context


def register() -> Verb:
    return Verb(
        name="system settle",
        summary="Wait until jobs, deletions, restarts and first health checks are done",
        options=(option("--timeout", "seconds to wait at most (30)", "N"),),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    context.client().settle(float(arguments.integer("timeout") or 30))
    return 0
