"""A container that is made, attached to and started: what `run` and `container run` have in common."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from stackfile.cli import terminal
from stackfile.cli.session import Session, proxied
from stackfile.errors import ActionError, StackfileError
from stackfile.model.container import ContainerSpec

if TYPE_CHECKING:
    from stackfile.api import Client


def attached(client: Client, spec: ContainerSpec, detach_keys: bytes, *, proxy: bool = True) -> int:
    """Make it, attached from its first byte on, `proxy`: signals go to it. Returns its exit code (0 when detached)."""
    if spec.tty:
        spec = replace(spec, console_size=terminal.size())
    with ExitStack() as undo:
        signals = _Signals(client)
        if proxy:
            undo.enter_context(proxied(signals.send))
        stream = undo.enter_context(client.run(spec))
        signals.lead_to(stream.identity)
        session = Session(
            stream,
            stdin=spec.stdin_open,
            resize=lambda rows, columns: client.resize(stream.identity, rows, columns),
            detach_keys=detach_keys,
        )
        if session.run():
            return 0
        status = stream.status()
        if not status.known:
            raise ActionError(
                "action-failed", f"the exit code of {stream.identity[:12]} is not known", cause=status.error
            )
        return status.exit_code


class _Signals:
    """Signals to a container; those that come before it runs reach it then."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._identity = ""
        self._early: list[str] = []

    def send(self, name: str) -> None:
        """Raises StackfileError when it does not run any more."""
        if self._identity:
            self._client.kill(self._identity, name)
        else:
            self._early.append(name)

    def lead_to(self, identity: str) -> None:
        self._identity = identity
        for name in self._early:
            try:
                self._client.kill(identity, name)
            except StackfileError:
                # It has ended by itself.
                return


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
