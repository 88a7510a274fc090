"""`system prune`: remove what nothing uses."""

from __future__ import annotations

import json
from typing import Any

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.output import units
from stackfile.cli.output.addresses import count
from stackfile.cli.removing import YES
from stackfile.errors import RefusedError


def register() -> Verb:
    return Verb(
        name="system prune",
        summary="Remove stopped containers, unused networks and images without a name; with -a unused images",
        options=(
            option("-a --all", "images that no container uses too"),
            option("--volumes", "volumes that no container mounts too: their data is lost"),
            YES,
        ),
        run=run,
        text="JSON: {containers, networks, images, volumes, bytes}: lists of what is gone.",
    )


def run(context: Context, arguments: Arguments) -> int:
    volumes = arguments.flag("volumes")
    if not arguments.flag("yes"):
        what = "stopped containers, unused networks and images" + (" and volumes with their data" if volumes else "")
        raise RefusedError("needs-yes", f"this removes all {what}", hint="-y does it; system df shows how much it is")
    client = context.client()
    dangling = json.dumps({"dangling": ["false"]}) if arguments.flag("all") else None
    gone: dict[str, Any] = {"containers": client.docker("POST", "containers", "prune")}
    gone["networks"] = client.docker("POST", "networks", "prune")
    if volumes:
        gone["volumes"] = client.docker("POST", "volumes", "prune", filters=json.dumps({"all": ["true"]}))
    gone["images"] = client.docker("POST", "images", "prune", filters=dangling)
    names = {
        "containers": gone["containers"]["ContainersDeleted"] or [],
        "networks": gone["networks"]["NetworksDeleted"] or [],
        "volumes": gone.get("volumes", {}).get("VolumesDeleted") or [],
        "images": [item["Deleted"] for item in gone["images"]["ImagesDeleted"] or () if "Deleted" in item],
    }
    freed = sum(answer.get("SpaceReclaimed", 0) for answer in gone.values())
    if context.console.json:
        context.console.document({**names, "bytes": freed})
    else:
        words = [count(len(items), kind.removesuffix("s")) for kind, items in names.items() if items]
        context.console.say(f"Removed: {', '.join(words) or 'nothing'}; {units.size(freed)} free again.")
    return 0
