"""`pull`: the images of the stack's services, from their registries."""

from __future__ import annotations

import time

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.jobs import conclude, follow
from stackfile.cli.output import progress
from stackfile.cli.output.addresses import count


def register() -> Verb:
    return Verb(
        name="pull",
        summary="Pull the images of services from their registries",
        operands="[SERVICE…]",
        maximum=None,
        options=(
            option("--policy", "always (the default) or missing", "POLICY", choices=("always", "missing")),
            option("--locked", "the images of stack.lock alone, or refuse"),
        ),
        run=run,
        text="Images that the stack builds are left alone; `up` pulls what is missing.",
    )


def run(context: Context, arguments: Arguments) -> int:
    began = time.monotonic()
    stack = context.stack(arguments.positional, locked=arguments.flag("locked"))
    shown = progress.make(context.console)
    events = context.client().pull(stack, arguments.positional, arguments.text("policy") or "always")
    finished = follow(context, events, shown)
    code = conclude(context, finished)
    if code == 0:
        images = count(len(finished.result.get("images") or ()), "image")
        context.console.say(f"Pull: {images} in {time.monotonic() - began:.1f} s.")
    return code
