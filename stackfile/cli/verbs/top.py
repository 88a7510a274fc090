"""`top`: the processes of services."""

from __future__ import annotations

from collections.abc import Sequence

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.cli.output import table
from stackfile.cli.output.containers import short_name
from stackfile.model.container import ContainerRecord


def register() -> Verb:
    return Verb(
        name="top",
        summary="The processes of services",
        operands="[SERVICE…]",
        maximum=None,
        run=run,
        text="JSON: a list of {container, titles, processes}.",
    )


def run(context: Context, arguments: Arguments) -> int:
    return show(context, context.containers_of(context.project(), arguments.positional))


def show(context: Context, records: Sequence[ContainerRecord], options: Sequence[str] = ()) -> int:
    """The processes of those that run. `options` are ps's."""
    found = []
    query = {"ps_args": " ".join(options)} if options else {}
    for record in records:
        if record.state.running and record.state.status != "restarting":
            answer = context.client().docker("GET", "containers", record.id, "top", **query)
            found.append((short_name(record), answer["Titles"], answer["Processes"]))
    console = context.console
    if console.json:
        console.document([{"container": name, "titles": titles, "processes": rows} for name, titles, rows in found])
        return 0
    titles = found[0][1] if found else ["PID", "CMD"]
    console.print(table.render(("CONTAINER", *titles), [(name, *row) for name, _, rows in found for row in rows]))
    return 0
