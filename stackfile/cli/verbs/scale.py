"""`scale`: change the number of replicas until the next up."""

from __future__ import annotations

import time
from dataclasses import replace

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context, check_services
from stackfile.cli.jobs import conclude, follow
from stackfile.cli.output import progress, summary
from stackfile.errors import UsageError
from stackfile.model.observed import UpOptions
from stackfile.model.stack import Stack


def register() -> Verb:
    return Verb(
        name="scale",
        summary="Change the number of replicas until the next up; the applied stack decides the rest",
        operands="SERVICE=N…",
        minimum=1,
        maximum=None,
        options=(option("--no-deps", "leave what they depend on alone (the default)"),),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    began = time.monotonic()
    wanted = _parse(arguments.positional)
    project = context.project()
    if project.stack is None:
        raise UsageError("usage", f"{project.name} was never applied whole", hint="stackfile up")
    check_services(project.stack, tuple(wanted))
    # The applied model knows how many there were; what else is in it stays.
    options = UpOptions(services=tuple(wanted), no_deps=True, build=False, scale=wanted, parallel=context.parallel)
    stack = _with_replicas(context, project.stack, wanted)
    shown = progress.make(context.console, summary.header(stack))
    finished = follow(context, context.client().up(stack, options), shown)
    code = conclude(context, finished)
    if code == 0:
        context.console.say(summary.up(stack.name, finished.result, time.monotonic() - began))
    return code


def _with_replicas(context: Context, applied: Stack, wanted: dict[str, int]) -> Stack:
    """The applied stack; services whose replicas differ (by `replica.index`) come anew from the file, which alone can
    say what more of them are.
    """
    names = [name for name in wanted if applied.services[name].variants]
    if not names:
        return applied
    loaded = context.stack(names, wanted)
    return replace(applied, services={**applied.services, **{name: loaded.services[name] for name in names}})


def _parse(items: tuple[str, ...] | list[str]) -> dict[str, int]:
    result = {}
    for item in items:
        name, equals, number = item.partition("=")
        if not equals or not number.isdigit() or not name:
            raise UsageError("usage", f"{item!r} is no SERVICE=N")
        result[name] = int(number)
    return result
