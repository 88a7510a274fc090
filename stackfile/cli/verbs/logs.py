"""`logs`: what the stack's containers say."""

from __future__ import annotations

from stackfile.cli import follow, quantities, reader
from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.errors import UsageError

OPTIONS = (
    option("-f --follow", "go on with what comes; ctrl-C ends it"),
    option("-n --tail", "last lines of each container, or all", "N"),
    option("--since", "not before: 10m (ago) or 2026-11-24T14:00:00", "TIME"),
    option("--until", "not after", "TIME"),
    option("-t --timestamps", "with the time of each line"),
)


def register() -> Verb:
    return Verb(
        name="logs",
        summary="What the stack's containers say",
        operands="[SERVICE…]",
        maximum=None,
        options=(*OPTIONS, option("--no-log-prefix", "without the container's name")),
        run=run,
        text="JSON: a line {container, stream, time, message} for each.",
    )


def run(context: Context, arguments: Arguments) -> int:
    options = options_of(arguments)
    project = context.project()
    if arguments.flag("follow"):
        with reader.needed():
            return follow.follow_logs(context, project, arguments.positional, options)
    follow.show_logs(context, context.containers_of(project, arguments.positional), options)
    return 0


def options_of(arguments: Arguments) -> follow.LogOptions:
    """Raises UsageError."""
    tail = arguments.text("tail", "all")
    if tail != "all" and not tail.isdigit():
        raise UsageError("usage", f"--tail: {tail!r} is neither a number nor all")
    return follow.LogOptions(
        tail=None if tail == "all" else int(tail),
        since_ns=quantities.moment("since", arguments.text("since")),
        until_ns=quantities.moment("until", arguments.text("until")),
        timestamps=arguments.flag("timestamps"),
        prefix=not arguments.flag("no-log-prefix"),
    )
