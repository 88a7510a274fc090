"""`attach`: connect this terminal with a service's main process."""

from __future__ import annotations

from contextlib import ExitStack

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.detach import DETACHED, OPTION, keys_of
from stackfile.cli.session import Session, proxied
from stackfile.cli.verbs.exec import choose
from stackfile.errors import ConflictError
from stackfile.model.container import ContainerRecord

OPTIONS = (
    option("--no-stdin", "leave stdin alone", negates="stdin"),
    option("--sig-proxy", "hand signals on (the default); --sig-proxy=false ends this command instead"),
    OPTION,
)


def register() -> Verb:
    return Verb(
        name="attach",
        summary="Connect this terminal with a service's main process; exits with its code",
        operands="SERVICE",
        minimum=1,
        maximum=1,
        runs_command=True,
        options=(option("--index", "replica (the first that runs)", "N"), *OPTIONS),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    return attach(context, arguments, choose(context, arguments.positional[0], arguments.integer("index")))


def attach(context: Context, arguments: Arguments, record: ContainerRecord) -> int:
    """Until the process ends or the user detaches. ConflictError (`not-running`)."""
    if record.state.status != "running":
        raise ConflictError("not-running", f"{record.spec.name} is not running ({record.state.status})")
    keys = keys_of(context, arguments)
    client = context.client()
    stdin = record.spec.stdin_open and arguments.flag("stdin", True)
    with ExitStack() as undo:
        wait = client.wait_started(record.id, "not-running")
        stream = undo.enter_context(client.attach(record.id, stdin=stdin, tty=record.spec.tty))
        if arguments.flag("sig-proxy", True) and not record.spec.tty:
            undo.enter_context(proxied(lambda name: client.kill(record.id, name)))
        session = Session(
            stream,
            stdin=stdin,
            resize=lambda rows, columns: client.resize(record.id, rows, columns),
            detach_keys=keys,
        )
        if session.run():
            context.console.note("read escape sequence")
            return DETACHED
        return wait().exit_code
