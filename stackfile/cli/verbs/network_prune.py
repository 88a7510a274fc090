"""`network prune`: remove networks without containers."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.cli.removing import YES, needs_yes, report
from stackfile.model import builtin


def register() -> Verb:
    return Verb(
        name="network prune",
        summary="Remove networks that no container is on",
        options=(YES,),
        run=run,
        text="JSON: {removed}.",
    )


def run(context: Context, arguments: Arguments) -> int:
    client = context.client()
    used = {endpoint.network_id for record in client.containers() for endpoint in record.endpoints}
    doomed = [item.name for item in client.networks() if item.id not in used and item.name not in builtin.DRIVERS]
    needs_yes(arguments, "these networks", doomed)
    answer = client.docker("POST", "networks", "prune")
    report(context, "network", list(answer["NetworksDeleted"] or ()))
    return 0
