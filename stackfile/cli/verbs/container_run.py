"""`container run`: a container of any image, docker run's options and exit codes."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.cli.run_options import OPTIONS, spec_of
from stackfile.cli.session import DETACH_KEYS, Session, proxied, wants_tty
from stackfile.errors import StackfileError
from stackfile.model.container import ContainerSpec

if TYPE_CHECKING:
    from stackfile.api import Client


def register() -> Verb:
    return Verb(
        name="container run",
        summary="Run a command in a new container of an image",
        operands="IMAGE [COMMAND [ARG…]]",
        minimum=1,
        maximum=None,
        trailing=True,
        runs_command=True,
        options=OPTIONS,
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    spec = spec_of(arguments, context.environ, context.directory)
    if spec.tty and spec.stdin_open and not arguments.flag("detach"):
        wants_tty(True, False, False)
    client = context.client()
    identity = client.create(spec)
    if arguments.flag("detach"):
        _start(client, identity, spec)
        context.console.print(identity)
        return 0
    return _attached(client, identity, spec, arguments.text("detach-keys", DETACH_KEYS))


def _attached(client: Client, identity: str, spec: ContainerSpec, detach_keys: str) -> int:
    """Attach and wait before the start, so that no output and no end is missed."""
    with ExitStack() as undo:
        stream = undo.enter_context(client.attach(identity, stdin=spec.stdin_open))
        wait = client.wait_started(identity, "removed" if spec.auto_remove else "next-exit")
        session = Session(
            stream,
            stdin=spec.stdin_open,
            resize=lambda rows, columns: client.resize(identity, rows, columns),
            detach_keys=detach_keys,
        )
        undo.enter_context(proxied(lambda name: client.kill(identity, name)))
        _start(client, identity, spec)
        if session.run():
            return 0
        return wait().exit_code


def _start(client: Client, identity: str, spec: ContainerSpec) -> None:
    """Start; a container that cannot be started does not stay behind with --rm."""
    try:
        client.start(identity)
    except StackfileError:
        if spec.auto_remove:
            _discard(client, identity)
        raise


def _discard(client: Client, identity: str) -> None:
    try:
        client.remove(identity, force=True, volumes=True)
    except StackfileError:
        # The engine has removed it already.
        pass
