"""`volume prune`: remove volumes that no container mounts."""

from __future__ import annotations

import json

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.removing import YES, needs_yes, report


def register() -> Verb:
    return Verb(
        name="volume prune",
        summary="Remove anonymous volumes that no container mounts; with -a named ones too",
        options=(option("-a --all", "named ones too: their data is lost"), YES),
        run=run,
        text="JSON: {removed, bytes}.",
    )


def run(context: Context, arguments: Arguments) -> int:
    client = context.client()
    everything = arguments.flag("all")
    used = {name for record in client.containers() for name in record.volumes.values()}
    doomed = [item.name for item in client.volumes() if item.name not in used and (item.anonymous or everything)]
    needs_yes(arguments, "these volumes and the data in them", doomed)
    filters = json.dumps({"all": ["true"]}) if everything else None
    answer = client.docker("POST", "volumes", "prune", filters=filters)
    report(context, "volume", list(answer["VolumesDeleted"] or ()), answer["SpaceReclaimed"])
    return 0
