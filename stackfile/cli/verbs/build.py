"""`build`: the stack's images."""

from __future__ import annotations

import time

from stackfile.cli.arguments import Arguments, Verb, nearest, option
from stackfile.cli.context import Context
from stackfile.cli.jobs import conclude, follow
from stackfile.cli.output import progress
from stackfile.cli.output.addresses import count
from stackfile.errors import UsageError


def register() -> Verb:
    return Verb(
        name="build",
        summary="Build the stack's images, and what they stand on",
        operands="[IMAGE…]",
        maximum=None,
        options=(option("--no-cache", "every step anew"),),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    began = time.monotonic()
    stack = context.stack()
    names = [stack.services[name].image if name in stack.services else name for name in arguments.positional]
    for name in names:
        if name not in stack.images:
            raise UsageError("usage", f"no such image in the stack: {name}", hint=nearest(name, stack.images))
    shown = progress.make(context.console)
    finished = follow(context, context.client().build(stack, names, arguments.flag("no-cache")), shown)
    code = conclude(context, finished)
    if code == 0:
        built = sum(row.status == "done" for row in shown.rows.shown())
        seconds = time.monotonic() - began
        context.console.say(f"Build: {count(built or len(names or stack.images), 'image')} in {seconds:.1f} s.")
    return code
