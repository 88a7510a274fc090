"""`container prune`: remove containers that do not run."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.cli.removing import YES, needs_yes, report


def register() -> Verb:
    return Verb(
        name="container prune",
        summary="Remove containers that do not run",
        options=(YES,),
        run=run,
        text="JSON: {removed, bytes}.",
    )


def run(context: Context, arguments: Arguments) -> int:
    client = context.client()
    doomed = {record.id: record.spec.name for record in client.containers() if not record.state.running}
    needs_yes(arguments, "these containers", list(doomed.values()))
    answer = client.docker("POST", "containers", "prune")
    names = [doomed.get(identity, identity[:12]) for identity in answer["ContainersDeleted"] or ()]
    report(context, "container", names, answer["SpaceReclaimed"])
    return 0
