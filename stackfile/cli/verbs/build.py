"""`build`: the stack's images."""

from __future__ import annotations

import time

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.jobs import conclude, follow
from stackfile.cli.output import progress
from stackfile.cli.output.addresses import count


def register() -> Verb:
    return Verb(
        name="build",
        summary="Build the stack's images, and what they stand on",
        operands="[IMAGE|SERVICE…]",
        maximum=None,
        options=(
            option("--no-cache", "every step anew"),
            option("--locked", "on the images of stack.lock alone, or refuse"),
        ),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    began = time.monotonic()
    stack = context.stack(locked=arguments.flag("locked"))
    shown = progress.make(context.console)
    events = context.client().build(stack, arguments.positional, arguments.flag("no-cache"))
    finished = follow(context, events, shown)
    code = conclude(context, finished)
    if code == 0:
        images = count(len(finished.result.get("images") or ()), "image")
        context.console.say(f"Build: {images} in {time.monotonic() - began:.1f} s.")
    return code
