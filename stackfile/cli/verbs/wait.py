"""`wait`: until services have ended."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.output.containers import short_name


def register() -> Verb:
    return Verb(
        name="wait",
        summary="Wait until the containers of services have ended; exits with the first one's code that is not 0",
        operands="SERVICE…",
        minimum=1,
        maximum=None,
        options=(option("--down-project", "take the project down then"),),
        run=run,
        text="JSON: a list of {container, exit_code}.",
    )


def run(context: Context, arguments: Arguments) -> int:
    project = context.project()
    client = context.client()
    ended = []
    for record in context.containers_of(project, arguments.positional):
        status = client.wait(record.id)
        ended.append((short_name(record), status.exit_code))
        if not context.console.json:
            context.console.print(f"{short_name(record)} exited with {status.exit_code}")
    if context.console.json:
        context.console.document([{"container": name, "exit_code": code} for name, code in ended])
    if arguments.flag("down-project"):
        from stackfile.api.client import result_of

        result_of(client.down(project.name))
    return next((code for _, code in ended if code), 0)
