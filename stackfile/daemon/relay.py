"""Between a client's connection and a process: attach and exec in both directions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from stackfile.daemon.batch import Batch
from stackfile.daemon.detach import Detector
from stackfile.daemon.frames import FAILED, frame
from stackfile.daemon.hijack import Session, first_of
from stackfile.errors import StackfileError
from stackfile.provider.engine import Streams

T = TypeVar("T")


async def opened(opening: Awaitable[T], close: Callable[[T], Awaitable[None]]) -> T:
    """What `opening` makes. It is never stopped half way: when the client leaves meanwhile, the result is closed."""
    task = asyncio.ensure_future(opening)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(lambda done: _close_result(done, close))
        raise


def _close_result(done: asyncio.Future[T], close: Callable[[T], Awaitable[None]]) -> None:
    if not done.cancelled() and done.exception() is None:
        closing = asyncio.ensure_future(close(done.result()))
        _CLOSING.add(closing)
        closing.add_done_callback(_CLOSING.discard)


_CLOSING: set[asyncio.Future[None]] = set()
"""asyncio holds tasks weakly: they would vanish half way."""


async def relay(
    session: Session,
    streams: Streams,
    *,
    stdin: bool,
    detach_keys: bytes = b"",
    last: Callable[[], Awaitable[bytes]] | None = None,
) -> None:
    """Until the process ends its output, the client leaves, or types the detach keys.

    With `stdin` what the client sends goes to the process; its end of file does too. Without, it is dropped: a client
    that half-closes goes on reading. With `last` the output of a terminal comes in frames, too, and the frame that it
    makes is the last one.
    """
    detector = Detector(detach_keys) if detach_keys and stdin and streams.tty else None
    await first_of(_output(session, streams, last), _input(session, streams, stdin, detector))


async def _output(session: Session, streams: Streams, last: Callable[[], Awaitable[bytes]] | None) -> None:
    raw = streams.tty and last is None
    async with Batch(session.write) as batch:
        try:
            async for chunk in streams.output():
                await batch.add(chunk.data if raw else frame(chunk.stream, chunk.data))
        except StackfileError as error:
            await batch.add(f"\r\n{error}\r\n".encode() if raw else frame(FAILED, str(error).encode()))
            return
        if last is not None:
            await batch.add(await last())


async def _input(session: Session, streams: Streams, stdin: bool, detector: Detector | None) -> None:
    """Returns when the client detaches; at the client's end of file it waits for the end of the output."""
    while data := await session.read():
        if not stdin:
            continue
        if detector is not None:
            data = detector.feed(data)
            if detector.found:
                return
        if data:
            await _write(streams, data)
    if stdin:
        await streams.close_stdin()
    await session.lost()


async def _write(streams: Streams, data: bytes) -> None:
    try:
        await streams.write(data)
    except (BrokenPipeError, ConnectionError):
        # The process closed its stdin: what comes is dropped, as a pipe's writer that ignores SIGPIPE would.
        return


async def close(streams: Streams | None) -> None:
    """Let go of a connection to a process, where there is one."""
    if streams is not None:
        await streams.close()
