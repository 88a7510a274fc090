"""`explain`: why a resource is what it is, what changed it last, and what the next `up` would do to it."""

from __future__ import annotations

import time

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.errors import NotFoundError, StackfileError, UsageError
from stackfile.model.observed import Project, UpOptions
from stackfile.model.plan import Plan
from stackfile.model.stack import Stack

_KINDS = ("service", "image", "network", "volume", "config", "secret")


def register() -> Verb:
    return Verb(
        name="explain",
        summary="Say why a resource is what it is, and what the next up would do to it",
        operands="RESOURCE",
        minimum=1,
        maximum=1,
        run=run,
        text="RESOURCE is an address such as service.web or image.app, or a service's name.",
    )


def run(context: Context, arguments: Arguments) -> int:
    from stackfile.api import last_change, to_plain

    project = context.project()
    stack = project.stack or Stack(name=project.name)
    address = _address(stack, arguments.positional[0])
    last = last_change(context.client(), project.name, address)
    following, trouble = _next(context, project)
    actions = [action for action in following.actions if action.address == address] if following else []
    if context.console.json:
        origin = stack.origins.get(address)
        context.console.document(
            {
                "address": address,
                "origin": to_plain(origin) if origin else None,
                "last": to_plain(last) if last else None,
                "next": [to_plain(action) for action in actions],
                "trouble": trouble,
            }
        )
        return 0
    from stackfile.cli.output import explain

    context.console.print(explain.render(stack, address, last, actions, trouble, time.time_ns()))
    return 0


def _address(stack: Stack, word: str) -> str:
    """Raises UsageError (`no-such-service`), NotFoundError."""
    kind, dot, name = word.partition(".")
    if not dot or kind not in _KINDS:
        kind, name = "service", word
    if name in getattr(stack, f"{kind}s"):
        return f"{kind}.{name}"
    if kind == "service":
        hint = f"services: {', '.join(sorted(stack.services))}"
        raise UsageError("no-such-service", f"no such service: {name}", hint=hint)
    raise NotFoundError(kind, name)


def _next(context: Context, project: Project) -> tuple[Plan | None, str]:
    """The plan of the file as it is now, or why there is none."""
    try:
        stack = context.stack()
        if stack.name != project.name:
            return None, f"the file here is that of project {stack.name}"
        return context.client().plan(stack, UpOptions(switch_environment=True)), ""
    except StackfileError as error:
        return None, str(error).splitlines()[0]
