"""Output and input of containers: logs, and live connections (attach)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing

from stackfile.engines.embedded import names, readiness
from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.holding import Holding
from stackfile.engines.embedded.launcher import log_directory
from stackfile.engines.embedded.registry import Container
from stackfile.engines.embedded.terminal import resize
from stackfile.errors import ActionError, ConflictError, NotFoundError
from stackfile.provider.engine import STDERR, STDOUT, LogChunk, LogQuery
from stackfile.runtime.logs import Chunk, LogFollower, Query, read_logs

_BATCH = 200
"""Lines after which reading a long log lets others run."""


class Readers:
    """Who reads which container's log: its directory is removed when nobody does any more."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._waiting: dict[str, Callable[[], None]] = {}

    @property
    def read(self) -> set[str]:
        """Containers whose log is being read."""
        return set(self._counts)

    def enter(self, identity: str) -> None:
        self._counts[identity] = self._counts.get(identity, 0) + 1

    def leave(self, identity: str) -> None:
        left = self._counts[identity] - 1
        if left:
            self._counts[identity] = left
            return
        del self._counts[identity]
        waiting = self._waiting.pop(identity, None)
        if waiting is not None:
            waiting()

    def when_unread(self, identity: str, action: Callable[[], None]) -> None:
        """Do `action` now, or when the last reader has left."""
        if identity in self._counts:
            self._waiting[identity] = action
        else:
            action()

    def flush(self) -> None:
        """Do what still waits: this process ends."""
        for action in self._waiting.values():
            action()
        self._waiting.clear()


class ContainerStreams:
    """An attachment; implements `provider.engine.Streams`. It ends with the container's present (or next) run."""

    def __init__(
        self, core: Core, container: Container, readers: Readers, *, stdin: bool, follower: LogFollower
    ) -> None:
        self.tty = container.spec.tty
        self._core = core
        self._container = container
        self._readers = readers
        self._wants_stdin = stdin
        self._stdin: int | None = None
        self._follower = follower
        self._exits = container.exits
        self._closed = False
        readers.enter(container.id)
        self._end = asyncio.ensure_future(self._finish())

    async def output(self) -> AsyncIterator[LogChunk]:
        """What the container writes from the attach on, until it ends. ActionError (`limit-reached`)."""
        async for chunk in self._follower.chunks():
            if chunk.missed:
                raise ActionError(
                    "limit-reached",
                    f"about {chunk.missed} bytes of {self._container.name} are gone: this client read too slowly",
                    hint="`logs` shows what is kept",
                )
            yield LogChunk(chunk.stream, chunk.time_ns, chunk.data)

    async def write(self, data: bytes) -> None:
        """Waits until the container runs and reads; what nobody will read is dropped."""
        descriptor = await self._input()
        if descriptor is None:
            return
        task = asyncio.ensure_future(readiness.write_all(descriptor, data))
        try:
            await asyncio.wait({task, self._end}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await task
        except OSError:
            self._let_go()
        finally:
            task.cancel()

    async def close_stdin(self) -> None:
        """End of file for a container with `stdin_once`; otherwise only ours ends. A terminal stays open."""
        if not self._wants_stdin or self.tty:
            return
        descriptor = await self._input()
        self._let_go()
        if descriptor is not None and self._container.spec.stdin_once:
            try:
                await self._core.shim.close_stdin(self._container.id)
            except (ConflictError, NotFoundError):
                pass  # it ended meanwhile

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._let_go()
        self._end.cancel()
        self._follower.close()
        self._readers.leave(self._container.id)

    # ---- inside

    async def _finish(self) -> None:
        while self._container.exits == self._exits and not self._container.removed:
            await self._container.changed.wait()
        self._follower.finish()

    async def _input(self) -> int | None:
        """The descriptor that stdin goes to, once the container runs; None when it has none (any more)."""
        if not self._wants_stdin or not (self._container.spec.stdin_open or self.tty):
            return None
        while self._stdin is None and not self._container.alive:
            if self._end.done() or self._closed:
                return None
            await self._container.changed.wait()
        if self._stdin is None:
            shim, identity = self._core.shim, self._container.id
            try:
                self._stdin = await (shim.tty(identity) if self.tty else shim.stdin(identity))
            except (ConflictError, NotFoundError):
                self._wants_stdin = False
        return self._stdin

    def _let_go(self) -> None:
        descriptor, self._stdin = self._stdin, None
        self._wants_stdin = False
        if descriptor is not None:
            os.close(descriptor)


class Streams:
    """Logs and attachments of all containers."""

    def __init__(self, core: Core, readers: Readers) -> None:
        self._core = core
        self._readers = readers

    async def attach(
        self, container: Container, *, stdin: bool, stdout: bool, stderr: bool, logs: bool
    ) -> ContainerStreams:
        """Works before the start. ConflictError for a paused container.

        A container never waits for who looks on: a client that is overtaken by the log's rotations is cut off. For who
        was there before the start it does, within bounds (`holding`).
        """
        if container.state.status == "paused":
            raise ConflictError("conflict", f"container {container.name} is paused", hint="unpause it first")
        holding = None if container.alive else Holding(self._core.shim, container.id, names.new_id())
        follower = LogFollower(
            log_directory(self._core, container.id),
            stdout=stdout,
            stderr=stderr,
            from_start=logs,
            too_much=None if holding is None else holding.begin,
        )
        return ContainerStreams(self._core, container, self._readers, stdin=stdin, follower=follower)

    async def logs(self, container: Container, query: LogQuery) -> AsyncIterator[LogChunk]:
        """Lines, by time; with `follow` until the container has ended (restarts by policy included).

        Of a container with driver `none` there are none.
        """
        if container.spec.log.driver == "none":
            return
        directory = log_directory(self._core, container.id)
        self._readers.enter(container.id)
        try:
            if not (query.follow and container.state.running):
                async for chunk in _lines(read_logs(directory, _query(query))):
                    yield chunk
                return
            follower = LogFollower(directory, stdout=query.stdout, stderr=query.stderr)
            try:
                async for chunk in _lines(follower.history(_query(query))):
                    yield chunk
                async with aclosing(_rest(follower, container, query)) as rest:
                    async for chunk in rest:
                        yield chunk
            finally:
                follower.close()
        finally:
            self._readers.leave(container.id)

    async def resize(self, container: Container, rows: int, columns: int) -> None:
        """ConflictError when it does not run or has no terminal."""
        if not container.alive or not container.spec.tty:
            raise ConflictError("not-running", f"container {container.name} has no terminal now")
        master = await self._core.shim.tty(container.id)
        try:
            resize(master, rows, columns)
        finally:
            os.close(master)


def _query(query: LogQuery) -> Query:
    return Query(
        stdout=query.stdout,
        stderr=query.stderr,
        since_ns=query.since_ns,
        until_ns=query.until_ns,
        tail=query.tail,
    )


async def _lines(found: Iterator[Chunk]) -> AsyncIterator[LogChunk]:
    for number, chunk in enumerate(found):
        yield _public(chunk)
        if number % _BATCH == _BATCH - 1:
            await asyncio.sleep(0)


async def _rest(follower: LogFollower, container: Container, query: LogQuery) -> AsyncGenerator[LogChunk, None]:
    async def finish() -> None:
        while container.state.running and not container.removed:
            await container.changed.wait()
        follower.finish()

    ending = asyncio.ensure_future(finish())
    try:
        async for chunk in follower.lines():
            if query.until_ns and chunk.time_ns > query.until_ns:
                return
            yield _public(chunk) if not chunk.missed else _missing(chunk)
    finally:
        ending.cancel()


def _missing(chunk: Chunk) -> LogChunk:
    """A line in the place of those that a reader has missed."""
    name = "stdout" if chunk.stream == STDOUT else "stderr"
    text = f"stackfile: about {chunk.missed} bytes of {name} are missing here: rotated away before they were read\n"
    return LogChunk(STDERR, chunk.time_ns, text.encode())


def _public(chunk: Chunk) -> LogChunk:
    return LogChunk(chunk.stream, chunk.time_ns, chunk.data)
