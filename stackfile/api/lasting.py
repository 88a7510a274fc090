"""Requests that outlive the daemon: it may be killed at any time, is back soon, and the client goes on where it was.

Nothing is given twice and nothing left out: events have a sequence number, lines of a log times, and an end stays
recorded. What cannot be asked again (an exec, an attached terminal) is not here.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator

from stackfile import wire
from stackfile.api.http import Address, Transport
from stackfile.api.replies import LogLine
from stackfile.errors import EngineError
from stackfile.model.container import ExitStatus
from stackfile.model.event import Event

PATIENCE = 30.0
"""Seconds for a daemon that has gone to be back."""
_PAUSE = 0.1


class _Again:
    """Between one attempt and the next."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._until = 0.0

    def answered(self) -> None:
        """There is a daemon: if it goes as well, it has as long to be back."""
        self._until = 0.0

    def wait(self, error: EngineError) -> None:
        """Before the next attempt. Raises `error` where nobody is expected any more: stopped, or gone for too long."""
        stopped = self._address.path and not os.path.exists(self._address.path)
        now = time.monotonic()
        self._until = self._until or now + PATIENCE
        if error.reason != "engine-unreachable" or stopped or now > self._until:
            raise error
        time.sleep(_PAUSE)


class Wait:
    """A wait that the daemon has registered."""

    def __init__(self, transport: Transport, target: str, what: str, *, lasting: bool) -> None:
        """`lasting`: a later daemon can be asked the same."""
        self._transport = transport
        self._target = target
        self._what = what
        self._lasting = lasting
        self._begin()

    def _begin(self) -> None:
        self._answer = self._transport.request("POST", self._target, timeout=None, what=self._what)

    def __call__(self) -> ExitStatus:
        """Block for the end."""
        again = _Again(self._transport.address)
        begun = True
        while True:
            try:
                if not begun:
                    self._begin()
                    begun = True
                    again.answered()
                return self._end()
            except EngineError as error:
                if not self._lasting:
                    raise
                again.wait(error)
                begun = False

    def _end(self) -> ExitStatus:
        with self._answer as answer:
            body = answer.read()
        if not body:
            raise EngineError("engine-unreachable", f"the daemon ended the connection: {self._what}")
        reply = json.loads(body)
        if isinstance(reply.get("error"), dict):
            raise wire.error_from_plain(reply["error"])
        error = (reply.get("Error") or {}).get("Message", "")
        return ExitStatus(exit_code=reply["StatusCode"], error=error, known=not error)


def events(ask: Callable[[int, int], Iterator[Event]], address: Address, since: int, since_ns: int) -> Iterator[Event]:
    """`ask` follows events above a sequence number, from a time on (0: from now)."""
    again = _Again(address)
    begun = time.time_ns()
    while True:
        try:
            for event in ask(since, since_ns):
                again.answered()
                if event.sequence <= since:
                    continue  # asked for by time
                since = event.sequence
                yield event
            return
        except EngineError as error:
            again.wait(error)
            since_ns = since_ns or (0 if since else begun)


def lines(
    ask: Callable[[int, int | None], Iterator[LogLine]], address: Address, since_ns: int, tail: int | None
) -> Iterator[LogLine]:
    """`ask` follows a log from a time on (0: from its beginning), at first only the last `tail` lines."""
    again = _Again(address)
    begun = time.time_ns()
    seen = 0
    """Lines that were given out with the time `since_ns`."""
    skip = 0
    while True:
        try:
            for line in ask(since_ns, tail):
                again.answered()
                if line.time_ns == since_ns and skip:
                    skip -= 1
                    continue
                since_ns, seen = line.time_ns, seen + 1 if line.time_ns == since_ns else 1
                yield line
            return
        except EngineError as error:
            again.wait(error)
            if not seen and tail is not None:
                since_ns = since_ns or begun
            tail, skip = None, seen
