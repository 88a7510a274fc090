"""`exec`: run a command in a service's container."""

from __future__ import annotations

from stackfile.cli import execute
from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.output.containers import number_of
from stackfile.cli.session import wants_tty
from stackfile.errors import NotFoundError
from stackfile.model.container import ContainerRecord


def register() -> Verb:
    return Verb(
        name="exec",
        summary="Run a command in a service's container",
        operands="SERVICE COMMAND [ARG…]",
        minimum=2,
        maximum=None,
        trailing=True,
        runs_command=True,
        options=(
            option("-T --no-tty", "no TTY (by default one where stdin and stdout are terminals)", also="--no-TTY"),
            option("-t --tty", "a TTY"),
            option("-i --interactive", "keep stdin open (the default)"),
            option("--index", "replica (the first that runs)", "N"),
            *execute.OPTIONS,
        ),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    service, *command = arguments.positional
    record = choose(context, service, arguments.integer("index"))
    tty = wants_tty(arguments.flag("tty"), arguments.flag("no-tty") or arguments.flag("detach"), True)
    stdin = arguments.flag("interactive", True)
    return execute.execute(context, arguments, record, command, tty=tty, stdin=stdin)


def choose(context: Context, service: str, index: int | None) -> ContainerRecord:
    """The container of a service: replica `index`, else the first that runs. Raises NotFoundError."""
    records = context.containers_of(context.project(), [service])
    if index is not None:
        records = [record for record in records if number_of(record) == index]
    if not records:
        raise NotFoundError("container", f"of service {service}" + (f" with index {index}" if index else ""))
    return next((record for record in records if record.state.status == "running"), records[0])
