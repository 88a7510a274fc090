"""`events`: what happens, as it happens."""

from __future__ import annotations

from datetime import datetime

from stackfile.cli import quantities, reader
from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.errors import UsageError
from stackfile.model.event import Event


def register() -> Verb:
    return Verb(
        name="events",
        summary="What happens in the engine, as it happens; ctrl-C ends it",
        operands="[SERVICE…]",
        maximum=None,
        options=(
            option("--since", "first what happened since: 10m (ago) or 2026-11-24T14:00:00", "TIME"),
            option("--until", "not after", "TIME"),
            option("--after", "first what has a higher sequence number", "N"),
            option("--no-follow", "end with the last event that there is", negates="follow"),
        ),
        run=run,
        text="JSON: a line {sequence, time_ns, kind, action, id, attributes} for each.\n"
        "With -p only those of one project, with services only theirs.",
    )


def run(context: Context, arguments: Arguments) -> int:
    after = arguments.integer("after") or 0
    if after < 0:
        raise UsageError("usage", "--after: a sequence number is positive")
    project = context.options.text("project-name")
    services: tuple[str, ...] = ()
    if arguments.positional:
        found = context.project()
        project, services = found.name, context.services_of(found, arguments.positional)
    events = context.client().events(
        since=after,
        since_ns=quantities.moment("since", arguments.text("since")),
        until_ns=quantities.moment("until", arguments.text("until")),
        follow=arguments.flag("follow", True),
        project=project,
        services=services,
    )
    with reader.needed(arguments.flag("follow", True)):
        for event in events:
            if context.console.json:
                context.console.line(_plain(event))
            else:
                context.console.print(_text(event))
    return 0


def _plain(event: Event) -> dict[str, object]:
    return {
        "sequence": event.sequence,
        "time_ns": event.time_ns,
        "kind": event.kind,
        "action": event.action,
        "id": event.id,
        "attributes": event.attributes,
    }


def _text(event: Event) -> str:
    moment = datetime.fromtimestamp(event.time_ns / 1e9).strftime("%H:%M:%S.%f")[:-3]
    name = event.attributes.get("name", "")
    rest = ", ".join(f"{key}={value}" for key, value in sorted(event.attributes.items()) if _short(key))
    head = f"{event.sequence:>6} {moment} {event.kind:<9} {event.action:<12} {name or event.id[:12]}"
    return f"{head}  {rest}".rstrip()


def _short(key: str) -> bool:
    """Labels and the name say nothing new on a line."""
    return key != "name" and "." not in key
