"""`volume ls`: the volumes of the engine."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.output import table
from stackfile.model import labels


def register() -> Verb:
    return Verb(
        name="volume ls",
        summary="The volumes of the engine",
        options=(
            option("-q --quiet", "names only"),
            option("--unused", "those that no container mounts"),
            option("--format", "table or json", "FORMAT", choices=("table", "json")),
        ),
        run=run,
        text="JSON: a list of {name, project, driver, mountpoint, created, anonymous, used_by, labels}.",
    )


def run(context: Context, arguments: Arguments) -> int:
    return show(context, arguments, "")


def show(context: Context, arguments: Arguments, project: str) -> int:
    """The volumes, of one project or of all."""
    client = context.client()
    users: dict[str, list[str]] = {}
    for record in client.containers():
        for name in record.volumes.values():
            users.setdefault(name, []).append(record.spec.name)
    volumes = [item for item in client.volumes() if not project or item.labels.get(labels.PROJECT) == project]
    if arguments.flag("unused"):
        volumes = [item for item in volumes if item.name not in users]
    console = context.console
    if arguments.flag("quiet"):
        for item in volumes:
            console.print(item.name)
    elif console.json:
        console.document(
            [
                {
                    "name": item.name,
                    "project": item.labels.get(labels.PROJECT, ""),
                    "driver": item.driver,
                    "mountpoint": item.mountpoint,
                    "created": item.created,
                    "anonymous": item.anonymous,
                    "used_by": users.get(item.name, []),
                    "labels": dict(item.labels),
                }
                for item in volumes
            ]
        )
    else:
        rows = [
            (
                item.name[:24] if item.anonymous else item.name,
                item.labels.get(labels.PROJECT, ""),
                item.driver,
                ", ".join(sorted(users.get(item.name, []))),
            )
            for item in volumes
        ]
        console.print(table.render(("NAME", "PROJECT", "DRIVER", "USED BY"), rows))
    return 0
