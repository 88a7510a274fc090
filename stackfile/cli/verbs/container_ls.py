"""`container ls`: all containers of the engine."""

from __future__ import annotations

from datetime import UTC, datetime

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.output import containers, table
from stackfile.model.container import ContainerRecord


def register() -> Verb:
    return Verb(
        name="container ls",
        summary="The containers of this engine, running ones unless -a",
        options=(
            option("-a --all", "stopped ones too"),
            option("-q --quiet", "ids only"),
            option("--format", "table or json", "FORMAT", choices=("table", "json")),
        ),
        run=run,
        text="JSON: as of `ps`.",
    )


def run(context: Context, arguments: Arguments) -> int:
    records = sorted(context.client().containers(), key=lambda record: record.created, reverse=True)
    if not arguments.flag("all"):
        records = [record for record in records if record.state.running]
    console = context.console
    if arguments.flag("quiet"):
        for record in records:
            console.print(record.id)
    elif console.json:
        console.document([containers.to_plain(record) for record in records])
    else:
        now = datetime.now(UTC)
        rows = [_row(record, now) for record in records]
        console.print(table.render(("ID", "NAME", "IMAGE", "STATUS", "PORTS", "UP"), rows))
    return 0


def _row(record: ContainerRecord, now: datetime) -> tuple[str, ...]:
    image = record.spec.image_name or record.spec.image.removeprefix("sha256:")[:12]
    return (
        record.id[:12],
        record.spec.name,
        image,
        containers.status(record),
        containers.ports(record.published),
        containers.up_time(record, now),
    )
