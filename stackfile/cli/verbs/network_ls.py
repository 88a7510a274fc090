"""`network ls`: the networks of the engine."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.output import table
from stackfile.model import labels


def register() -> Verb:
    return Verb(
        name="network ls",
        summary="The networks of the engine",
        options=(
            option("-q --quiet", "ids only"),
            option("--format", "table or json", "FORMAT", choices=("table", "json")),
        ),
        run=run,
        text="JSON: a list of {id, name, project, driver, subnets, gateways, internal, interface, labels}.",
    )


def run(context: Context, arguments: Arguments) -> int:
    networks = sorted(context.client().networks(), key=lambda item: item.name)
    console = context.console
    if arguments.flag("quiet"):
        for item in networks:
            console.print(item.id)
    elif console.json:
        console.document(
            [
                {
                    "id": item.id,
                    "name": item.name,
                    "project": item.labels.get(labels.PROJECT, ""),
                    "driver": item.driver,
                    "subnets": list(item.subnets),
                    "gateways": list(item.gateways),
                    "internal": item.internal,
                    "interface": item.interface,
                    "labels": dict(item.labels),
                }
                for item in networks
            ]
        )
    else:
        rows = [
            (item.id[:12], item.name, item.labels.get(labels.PROJECT, ""), item.driver, ", ".join(item.subnets))
            for item in networks
        ]
        console.print(table.render(("ID", "NAME", "PROJECT", "DRIVER", "SUBNETS"), rows))
    return 0
