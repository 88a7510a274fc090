"""A container that is made, attached to and started: what `run` and `container run` have in common."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from stackfile.cli.session import Session, proxied
from stackfile.errors import StackfileError
from stackfile.model.container import ContainerSpec

if TYPE_CHECKING:
    from stackfile.api import Client


def attached(client: Client, identity: str, spec: ContainerSpec, detach_keys: str) -> int:
    """Attach and wait before the start, so that no output and no end is missed. Returns its exit code."""
    with ExitStack() as undo:
        stream = undo.enter_context(client.attach(identity, stdin=spec.stdin_open, tty=spec.tty))
        wait = client.wait_started(identity, "removed" if spec.auto_remove else "next-exit")
        session = Session(
            stream,
            stdin=spec.stdin_open,
            resize=lambda rows, columns: client.resize(identity, rows, columns),
            detach_keys=detach_keys,
        )
        undo.enter_context(proxied(lambda name: client.kill(identity, name)))
        start(client, identity, spec)
        if session.run():
            return 0
        return wait().exit_code


def start(client: Client, identity: str, spec: ContainerSpec) -> None:
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
