"""`port`: where a port of a service is published."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.verbs.exec import choose
from stackfile.errors import NotFoundError, UsageError


def register() -> Verb:
    return Verb(
        name="port",
        summary="Where a port of a service is published; all of its ports without PORT",
        operands="SERVICE [PORT[/PROTOCOL]]",
        minimum=1,
        maximum=2,
        options=(
            option("--index", "replica (the first that runs)", "N"),
            option("--protocol", "tcp or udp", "PROTOCOL", choices=("tcp", "udp")),
        ),
        run=run,
        text="JSON: a list of {target, protocol, host_ip, published}.",
    )


def run(context: Context, arguments: Arguments) -> int:
    service, *rest = arguments.positional
    record = choose(context, service, arguments.integer("index"))
    published = list(record.published)
    if rest:
        number, _, protocol = rest[0].partition("/")
        protocol = protocol or arguments.text("protocol", "tcp")
        if not number.isdigit():
            raise UsageError("usage", f"{rest[0]!r} is no port")
        published = [port for port in published if (port.target, port.protocol) == (int(number), protocol)]
        if not published:
            raise NotFoundError("port", f"{number}/{protocol} of {record.spec.name}", hint="it is not published")
    if context.console.json:
        context.console.document(
            [
                {"target": p.target, "protocol": p.protocol, "host_ip": p.host_ip, "published": p.published}
                for p in published
            ]
        )
        return 0
    for port in published:
        host = f"[{port.host_ip}]" if ":" in port.host_ip else port.host_ip or "0.0.0.0"
        place = f"{host}:{port.published}"
        context.console.print(place if rest else f"{port.target}/{port.protocol} -> {place}")
    return 0
