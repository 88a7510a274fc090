"""`image rm`: remove names and images."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.errors import ErrorCollector, StackfileError


def register() -> Verb:
    return Verb(
        name="image rm",
        summary="Remove names of images, and images with their last name",
        operands="IMAGE…",
        minimum=1,
        maximum=None,
        options=(option("-f --force", "also where it has several names, or a container uses it"),),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    errors, client = ErrorCollector(), context.client()
    for reference in arguments.positional:
        try:
            done = client.remove_image(reference, force=arguments.flag("force"))
        except StackfileError as error:
            errors.add(error)
            continue
        for what, name in done:
            context.console.say(f"{what} {name}")
    errors.check()
    return 0
