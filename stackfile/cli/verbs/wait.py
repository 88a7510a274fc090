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
        text="An end that nobody saw is told as such, and counts as 255. JSON: a list of {container, exit_code,\n"
        "error}, exit_code null where it is not known.",
    )


def run(context: Context, arguments: Arguments) -> int:
    project = context.project()
    client = context.client()
    ended = []
    for record in context.containers_of(project, arguments.positional):
        status = client.wait(record.id)
        ended.append((short_name(record), status))
        if not context.console.json:
            how = f"exited with {status.words}" if status.known else f"ended unobserved: {status.error}"
            context.console.print(f"{short_name(record)} {how}")
    if context.console.json:
        context.console.document(
            [
                {"container": name, "exit_code": status.exit_code if status.known else None, "error": status.error}
                for name, status in ended
            ]
        )
    if arguments.flag("down-project"):
        from stackfile.api.client import result_of

        result_of(client.down(project.name))
    return next((status.exit_code for _, status in ended if status.exit_code), 0)
