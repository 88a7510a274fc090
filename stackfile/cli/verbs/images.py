"""`images`: the images of the engine's store."""

from __future__ import annotations

from datetime import UTC, datetime

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.output import table, units
from stackfile.cli.output.containers import parse_time
from stackfile.model.image import ImageRecord

_HUB = "docker.io/"
_LIBRARY = "docker.io/library/"
_SIZE = 3


def register() -> Verb:
    return Verb(
        name="images",
        summary="The images in the engine's store",
        options=(
            option("-q --quiet", "ids only"),
            option("--format", "table or json", "FORMAT", choices=("table", "json")),
        ),
        run=run,
        text="JSON: a list of {id, tags, created, size, architecture, os, layers}; size in bytes.",
    )


def run(context: Context, arguments: Arguments) -> int:
    images = sorted(context.client().images(), key=lambda image: image.tags or (image.id,))
    console = context.console
    if arguments.flag("quiet"):
        for image in images:
            console.print(image.id)
    elif console.json:
        console.document([_plain(image) for image in images])
    else:
        now = datetime.now(UTC)
        rows = [
            (tag, image.id.removeprefix("sha256:")[:12], _age(image, now), units.size(image.size))
            for image in images
            for tag in (tuple(map(familiar, image.tags)) or ("<none>",))
        ]
        console.print(table.render(("IMAGE", "ID", "CREATED", "SIZE"), rows, frozenset({_SIZE})))
    return 0


def familiar(reference: str) -> str:
    """`busybox:latest` for `docker.io/library/busybox:latest`."""
    return reference.removeprefix(_LIBRARY).removeprefix(_HUB)


def _age(image: ImageRecord, now: datetime) -> str:
    created = parse_time(image.created)
    return f"{units.age((now - created).total_seconds())} ago" if created and created.year > 1980 else ""


def _plain(image: ImageRecord) -> dict[str, object]:
    return {
        "id": image.id,
        "tags": list(image.tags),
        "created": image.created,
        "size": image.size,
        "architecture": image.architecture,
        "os": image.os,
        "layers": list(image.layers),
    }
