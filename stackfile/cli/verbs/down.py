"""`down`: stop and remove what up made; volumes and secrets stay without -v."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.jobs import conclude, follow
from stackfile.cli.output import progress, summary
from stackfile.model.observed import DownOptions


def register() -> Verb:
    return Verb(
        name="down",
        summary="Stop and remove the stack's containers and networks",
        operands="[SERVICE…]",
        maximum=None,
        options=(
            option("-v --volumes", "also volumes and generated secrets: their data is lost"),
            option("--rmi", "also images: those without a tag of their own, or all", "local|all",
                   choices=("local", "all")),
            option("-t --timeout", "seconds until a stopped container is killed", "N"),
            option("--remove-orphans", "also containers of services that the file had (the default)"),
        ),
        run=run,
    )  # fmt: skip


def run(context: Context, arguments: Arguments) -> int:
    project = context.find_project()
    if project is None:
        context.console.say("Down: nothing is up.")
        return 0
    options = DownOptions(
        volumes=arguments.flag("volumes"),
        remove_orphans=arguments.flag("remove-orphans", True),
        rmi=arguments.text("rmi"),
        stop_timeout=arguments.integer("timeout"),
        services=context.services_of(project, arguments.positional),
    )
    shown = progress.make(context.console, transient=True)
    finished = follow(context, context.client().down(project.name, options), shown)
    code = conclude(context, finished)
    if code == 0:
        context.console.say(summary.down(finished.result))
    return code
