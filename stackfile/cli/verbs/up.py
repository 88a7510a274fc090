"""`up`: make the machine match the file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.jobs import Finished, conclude, follow
from stackfile.errors import UsageError
from stackfile.model.observed import UpOptions
from stackfile.model.stack import Stack

if TYPE_CHECKING:
    from stackfile.api import Reader

PLANNED = (
    option("--build", "build images that are not up to date (the default)"),
    option("--no-build", "use images as they are", negates="build"),
    option(
        "--pull",
        "pull images of registries: always, missing or never (else as each service says)",
        "POLICY",
        choices=("always", "missing", "never"),
    ),
    option("--locked", "the images of stack.lock alone, or refuse"),
    option("--force-recreate", "recreate containers though nothing changed"),
    option("--no-recreate", "leave existing containers as they are"),
    option("--no-deps", "without the services that the named ones depend on"),
    option("--no-start", "create, start nothing"),
    option("--remove-orphans", "remove containers of services that the file does not have"),
    option("--scale", "number of replicas until the next up, repeatable", "SERVICE=N", repeat=True),
    option("--switch-environment", "apply another environment than the project has"),
    option("--adopt", "take over a project of the same name from another directory"),
    option("-t --stop-timeout", "seconds until a stopped container is killed", "N"),
    option("-y --yes", "do it though data may be lost"),
)
"""Options that decide what a plan says; `plan` has them too."""


def register() -> Verb:
    return Verb(
        name="up",
        summary="Build, create and update until the machine matches the file",
        operands="[SERVICE…]",
        maximum=None,
        options=(
            option("-d --detach", "return once everything is started, healthy or not"),
            *PLANNED,
            option("--wait", "return when everything is healthy (the default)"),
            option("--timeout", "seconds to wait until everything is healthy (300)", "N", also="--wait-timeout"),
            option("--dry-run", "show the plan, change nothing"),
            option("--follow", "go on with the logs"),
        ),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    began, since_ns = time.monotonic(), time.time_ns()
    stack, options = planned(context, arguments)
    if arguments.flag("dry-run"):
        from stackfile.cli.verbs.plan import show

        show(context, context.client().plan(stack, options), stack)
        return 0
    context.tell_ignored(stack)
    code = _apply(context, stack, options, began)
    if code == 0 and arguments.flag("follow"):
        from stackfile.cli.follow import LogOptions, follow_logs

        names = arguments.positional or _attached(stack)
        return follow_logs(context, context.project(), names, LogOptions(since_ns=since_ns))
    return code


def _attached(stack: Stack) -> list[str]:
    """The services whose logs are followed; none for all."""
    if all(service.attach for service in stack.services.values()):
        return []
    return [name for name, service in stack.services.items() if service.attach]


def planned(context: Context, arguments: Arguments, read: Reader | None = None) -> tuple[Stack, UpOptions]:
    """The stack and the options that the command line says. Raises StackError, UsageError."""
    scale = scales(arguments)
    services = arguments.positional
    stack = context.stack(services, scale, read, locked=arguments.flag("locked"))
    return stack, options_of(context, arguments, services, scale)


def options_of(context: Context, arguments: Arguments, services: Sequence[str], scale: dict[str, int]) -> UpOptions:
    if arguments.flag("force-recreate") and arguments.flag("no-recreate"):
        raise UsageError("usage", "--force-recreate and --no-recreate exclude each other")
    return UpOptions(
        services=tuple(services),
        build=arguments.flag("build", True),
        force_recreate=arguments.flag("force-recreate"),
        no_recreate=arguments.flag("no-recreate"),
        no_deps=arguments.flag("no-deps"),
        no_start=arguments.flag("no-start"),
        remove_orphans=arguments.flag("remove-orphans"),
        adopt=arguments.flag("adopt"),
        switch_environment=arguments.flag("switch-environment"),
        yes=arguments.flag("yes"),
        scale=scale,
        wait=arguments.flag("wait", not arguments.flag("detach")),
        timeout=arguments.integer("timeout") or 0,
        stop_timeout=arguments.integer("stop-timeout"),
        parallel=context.parallel,
        pull=arguments.text("pull"),
    )


def scales(arguments: Arguments) -> dict[str, int]:
    """`--scale web=3`. Raises UsageError."""
    result = {}
    for name, number in arguments.pairs("scale").items():
        if not number.isdigit():
            raise UsageError("usage", f"--scale {name}={number}: not a number of replicas")
        result[name] = int(number)
    return result


def _apply(context: Context, stack: Stack, options: UpOptions, began: float) -> int:
    from stackfile.cli.output import progress, summary

    console = context.console
    shown = progress.make(console, summary.header(stack))
    finished: Finished = follow(context, context.client().up(stack, options), shown)
    code = conclude(context, finished)
    if code == 0:
        console.say(summary.up(stack.name, finished.result, time.monotonic() - began))
    return code
