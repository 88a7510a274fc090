"""`events`: what happens, as it happens."""

from __future__ import annotations

from datetime import datetime

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.errors import UsageError
from stackfile.model.event import Event


def register() -> Verb:
    return Verb(
        name="events",
        summary="What happens in the engine, as it happens; ctrl-C ends it",
        options=(
            option("--since", "events after this sequence number first", "N"),
            option("--no-follow", "end with the last event that there is", negates="follow"),
        ),
        run=run,
        text="JSON: a line {sequence, time_ns, kind, action, id, attributes} for each.\n"
        "With -p only those of one project.",
    )


def run(context: Context, arguments: Arguments) -> int:
    since = arguments.integer("since") or 0
    if since < 0:
        raise UsageError("usage", "--since: a sequence number is positive")
    follow = arguments.flag("follow", True)
    project = context.options.text("project-name")
    for event in context.client().events(since=since, follow=follow, project=project):
        if context.console.json:
            context.console.line(
                {
                    "sequence": event.sequence,
                    "time_ns": event.time_ns,
                    "kind": event.kind,
                    "action": event.action,
                    "id": event.id,
                    "attributes": event.attributes,
                }
            )
        else:
            context.console.print(_text(event))
    return 0


def _text(event: Event) -> str:
    moment = datetime.fromtimestamp(event.time_ns / 1e9).strftime("%H:%M:%S.%f")[:-3]
    name = event.attributes.get("name", "")
    rest = ", ".join(f"{key}={value}" for key, value in sorted(event.attributes.items()) if _short(key))
    head = f"{event.sequence:>6} {moment} {event.kind:<9} {event.action:<12} {name or event.id[:12]}"
    return f"{head}  {rest}".rstrip()


def _short(key: str) -> bool:
    """Labels and the name say nothing new on a line."""
    return key != "name" and "." not in key
