"""What start, stop, restart, kill and rm of a stack's services have in common."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments
from stackfile.cli.context import Context
from stackfile.cli.jobs import conclude, follow
from stackfile.cli.output import progress


def run(context: Context, arguments: Arguments, verb: str, **options: object) -> int:
    """Run `verb` as a job on the applied project's services. Options that are None are left out."""
    project = context.project()
    services = context.services_of(project, arguments.positional)
    given = {name: value for name, value in options.items() if value is not None}
    events = context.client().lifecycle(verb, project.name, services, **given)
    return conclude(context, follow(context, events, progress.make(context.console)))
