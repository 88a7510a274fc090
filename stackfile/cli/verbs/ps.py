"""`ps`: the containers of the stack."""

from __future__ import annotations

from datetime import UTC, datetime

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.output import containers


def register() -> Verb:
    return Verb(
        name="ps",
        summary="The stack's containers",
        operands="[SERVICE…]",
        maximum=None,
        options=(
            option("-a --all", "stopped ones too (the default)"),
            option("-q --quiet", "ids only"),
            option("--running", "running ones only"),
            option("--format", "table or json", "FORMAT", choices=("table", "json")),
        ),
        run=run,
        text="JSON: a list of {id, name, project, service, number, image, state, health, exit_code, started_at,\n"
        "memory, memory_limit, ports, networks, …}; sizes in bytes, times in UTC.",
    )


def run(context: Context, arguments: Arguments) -> int:
    project = context.find_project()
    records = context.containers_of(project, arguments.positional) if project else []
    if arguments.flag("running"):
        records = [record for record in records if record.state.running]
    if arguments.flag("quiet"):
        for record in records:
            context.console.print(record.id)
    elif context.console.json:
        context.console.document([containers.to_plain(record) for record in records])
    else:
        context.console.print(containers.render(records, datetime.now(UTC)))
    return 0
