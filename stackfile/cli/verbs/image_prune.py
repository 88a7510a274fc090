"""`image prune`: remove images that nothing needs."""

from __future__ import annotations

import json

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.removing import YES, needs_yes, report


def register() -> Verb:
    return Verb(
        name="image prune",
        summary="Remove images without a name; with -a all that no container uses",
        options=(option("-a --all", "named ones too"), YES),
        run=run,
        text="What a stack.lock names is not spared: `pull --locked` and `up --locked` fetch it again by its digest.\n"
        "JSON: {removed, bytes}.",
    )


def run(context: Context, arguments: Arguments) -> int:
    client = context.client()
    everything = arguments.flag("all")
    used = {record.spec.image for record in client.containers()}
    doomed = [item for item in client.images() if item.id not in used and (everything or not item.tags)]
    needs_yes(arguments, "these images", [next(iter(item.tags), item.id[:19]) for item in doomed])
    filters = json.dumps({"dangling": ["false"]}) if everything else None
    answer = client.docker("POST", "images", "prune", filters=filters)
    names = [item.get("Untagged") or item.get("Deleted", "") for item in answer["ImagesDeleted"] or ()]
    report(context, "image", names, answer["SpaceReclaimed"])
    return 0
