"""`ls`: the projects of this engine."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.output import table
from stackfile.cli.output.containers import project_of


def register() -> Verb:
    return Verb(
        name="ls",
        summary="The projects on this machine",
        options=(
            option("-a --all", "stopped ones too (the default)"),
            option("-q --quiet", "names only"),
            option("--format", "table or json", "FORMAT", choices=("table", "json")),
        ),
        run=run,
        text="JSON: a list of {name, environment, directory, files, containers, running, updated}.",
    )


def run(context: Context, arguments: Arguments) -> int:
    client = context.client()
    projects = sorted(client.projects(), key=lambda project: project.name)
    records = client.containers()
    rows = []
    for project in projects:
        own = [record for record in records if project_of(record) == project.name]
        rows.append(
            {
                "name": project.name,
                "environment": project.environment,
                "directory": project.directory,
                "files": list(project.stack.files) if project.stack else [],
                "containers": len(own),
                "running": sum(record.state.running for record in own),
                "updated": project.updated,
            }
        )
    _show(context, arguments, rows)
    return 0


def _show(context: Context, arguments: Arguments, rows: list[dict[str, object]]) -> None:
    console = context.console
    if arguments.flag("quiet"):
        for row in rows:
            console.print(str(row["name"]))
    elif console.json:
        console.document(rows)
    else:
        cells = [
            (
                str(row["name"]),
                str(row["environment"]),
                f"{row['running']} of {row['containers']}",
                str(row["directory"]),
            )
            for row in rows
        ]
        console.print(table.render(("NAME", "ENVIRONMENT", "RUNNING", "DIRECTORY"), cells))
