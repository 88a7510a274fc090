"""`config`: the stack as it is meant, every template, variable and default resolved."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.model.stack import Stack


def register() -> Verb:
    return Verb(
        name="config",
        summary="The stack with everything resolved; needs no engine",
        options=(
            option("--format", "yaml or json", "FORMAT", choices=("yaml", "json")),
            option("--services", "names of the services"),
            option("--images", "images of the services"),
            option("--volumes", "names of the volumes"),
            option("--networks", "names of the networks"),
            option("-q --quiet", "only check"),
        ),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    from stackfile import api

    stack, plain = context.configuration()
    lists = [name for name in ("services", "images", "volumes", "networks") if arguments.flag(name)]
    if arguments.flag("quiet"):
        return 0
    if lists:
        _list(context, [item for name in lists for item in _names(stack, name)])
    else:
        context.console.print(api.text_of(plain, "json" if context.console.json else "yaml").rstrip("\n"))
    return 0


def _names(stack: Stack, what: str) -> list[str]:
    if what == "images":
        return list(dict.fromkeys(_image(stack, service.image) for service in stack.services.values()))
    return list(getattr(stack, what))


def _image(stack: Stack, name: str) -> str:
    image = stack.images.get(name)
    return image.tags[0] if image is not None and image.tags else name


def _list(context: Context, names: list[str]) -> None:
    if context.console.json:
        context.console.document(names)
        return
    for name in names:
        context.console.print(name)
