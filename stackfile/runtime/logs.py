"""Reading the logs that the shim writes: by line with times, from the end, over rotation, and following.

Format: `stdout.log` and `stderr.log` hold the bytes as they came; beside each an index (`logindex`) with a record
per chunk: offset, length, time. Rotated pairs are `stdout.log.1`, `stdout.idx.1`, …, the highest number oldest.
"""

from __future__ import annotations

import asyncio
import heapq
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass

from stackfile.errors import KernelError
from stackfile.runtime.logindex import SIZE
from stackfile.runtime.logpairs import Pair, Record, open_pairs
from stackfile.runtime.logtail import Position, Tail
from stackfile.runtime.logwatch import Watcher, watcher

STDOUT, STDERR = 1, 2

_PIECE = 1 << 18
"""Bytes read at once."""
_LONGEST_LINE = 1 << 20
"""A longer line is given in parts."""
_SLOW, _FAST = 1.0, 0.05
"""Seconds between looks without a wake-up: with a watch, and without one."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Output: stream 1 or 2, time in ns since the epoch, bytes.

    With `missed` it has no bytes, and says how many a follower that was too slow has missed of this stream.
    """

    stream: int
    time_ns: int
    data: bytes
    missed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to read. `until_ns` 0 is no end; `tail` None is everything."""

    stdout: bool = True
    stderr: bool = True
    since_ns: int = 0
    until_ns: int = 0
    tail: int | None = None

    @property
    def streams(self) -> tuple[int, ...]:
        return tuple(stream for stream, wanted in ((STDOUT, self.stdout), (STDERR, self.stderr)) if wanted)


def read_logs(directory: str, query: Query) -> Iterator[Chunk]:
    """Lines (with their newline; the last one may lack it) of both streams, by time, oldest first.

    A line's time is that of the chunk that ends it. With `tail` only as much of the files is read as the last lines
    need.
    """
    return _read(directory, query, {})


def _read(directory: str, query: Query, ends: Mapping[int, Position]) -> Iterator[Chunk]:
    readers = [_lines_of(directory, stream, query, ends.get(stream)) for stream in query.streams]
    merged = heapq.merge(*readers, key=lambda chunk: chunk.time_ns)
    if query.tail is None:
        return merged
    if query.tail == 0:
        return iter(())
    return iter(list(merged)[-query.tail :])


def _lines_of(directory: str, stream: int, query: Query, end: Position | None) -> Iterator[Chunk]:
    pairs = open_pairs(directory, stream)
    try:
        if query.tail is None:
            pieces = _forwards(pairs, query.since_ns, end)
        else:
            pieces = iter(_backwards(pairs, query.tail, query.until_ns, end))
        for line in _split(stream, pieces):
            if query.until_ns and line.time_ns > query.until_ns:
                return
            if line.time_ns >= query.since_ns:
                yield line
    finally:
        for pair in pairs:
            pair.close()


def _forwards(pairs: list[Pair], since_ns: int, end: Position | None) -> Iterator[tuple[int, bytes]]:
    """(time, bytes) in order. Of what came before `since_ns` only the begin of a line that ended later is read."""
    before: tuple[Pair, Record] | None = None
    reading = since_ns == 0
    for pair in pairs:
        for record in _records(pair, end):
            if not reading and record.time_ns < since_ns:
                before = (pair, record)
                continue
            if not reading and before is not None:
                yield from _begun(*before)
            reading = True
            yield from _bytes(pair, record)


def _records(pair: Pair, end: Position | None) -> Iterator[Record]:
    if end is not None and pair.generation > end[0]:
        return
    limited = end is not None and pair.generation == end[0]
    yield from pair.records(SIZE, end[1] if limited and end is not None else pair.indexed())
    if end is None and (rest := pair.tail_record()) is not None:
        yield rest


def _begun(pair: Pair, record: Record) -> Iterator[tuple[int, bytes]]:
    """What stands behind the last newline of a chunk: the begin of a line."""
    data = pair.read(record.offset, record.length)
    rest = data[data.rfind(b"\n") + 1 :]
    if rest:
        yield record.time_ns, rest


def _bytes(pair: Pair, record: Record) -> Iterator[tuple[int, bytes]]:
    """What a record tells of, until somebody closes the pair."""
    if record.lost and not pair.closed:
        yield record.time_ns, pair.notice(record)
    offset, left = record.offset, record.length
    while left > 0 and not pair.closed:
        data = pair.read(offset, min(left, _PIECE))
        if not data:
            return
        yield record.time_ns, data
        offset += len(data)
        left -= len(data)


def _backwards(pairs: list[Pair], lines: int, until_ns: int, end: Position | None) -> list[tuple[int, bytes]]:
    """The last pieces that hold at least `lines` whole lines, in order."""
    pieces: list[tuple[int, bytes]] = []
    newlines = 0
    for pair in reversed(pairs):
        for record in _records_backwards(pair, end):
            if until_ns and record.time_ns > until_ns:
                continue
            if record.lost:
                pieces.append((record.time_ns, pair.notice(record)))
                newlines += 1
            left = record.length
            while left > 0:
                size = min(left, _PIECE)
                data = pair.read(record.offset + left - size, size)
                left -= size
                pieces.append((record.time_ns, data))
                newlines += data.count(b"\n")
                if newlines > lines:
                    return _from_line_start(pieces)
    return pieces[::-1]


def _from_line_start(pieces: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    time_ns, data = pieces[-1]
    pieces[-1] = (time_ns, data[data.find(b"\n") + 1 :])
    return pieces[::-1]


def _records_backwards(pair: Pair, end: Position | None) -> Iterator[Record]:
    if end is not None and pair.generation > end[0]:
        return
    if end is None and (rest := pair.tail_record()) is not None:
        yield rest
    limited = end is not None and pair.generation == end[0]
    yield from pair.records_backwards(end[1] if limited and end is not None else pair.indexed())


class _Splitter:
    """Bytes of one stream → lines. The time of a line is that of the piece that ends it."""

    def __init__(self, stream: int) -> None:
        self._stream = stream
        self._begun: list[bytes] = []
        self._length = 0
        self._time = 0

    def feed(self, time_ns: int, data: bytes) -> Iterator[Chunk]:
        lines = data.splitlines(keepends=True) if b"\r" not in data else _by_newline(data)
        for line in lines:
            self._begun.append(line)
            self._length += len(line)
            self._time = time_ns
            if line.endswith(b"\n") or self._length > _LONGEST_LINE:
                yield from self.rest()

    def rest(self) -> Iterator[Chunk]:
        """A line that has no newline yet."""
        if self._begun:
            yield Chunk(self._stream, self._time, b"".join(self._begun))
        self._begun = []
        self._length = 0


def _by_newline(data: bytes) -> list[bytes]:
    *whole, last = data.split(b"\n")
    return [line + b"\n" for line in whole] + ([last] if last else [])


def _split(stream: int, pieces: Iterator[tuple[int, bytes]]) -> Iterator[Chunk]:
    splitter = _Splitter(stream)
    for time_ns, data in pieces:
        yield from splitter.feed(time_ns, data)
    yield from splitter.rest()


class LogFollower:
    """Output that is added to a container's log from the moment of construction on (in a running event loop).

    `history` is what stood there before, so that nothing is lost or doubled between the two. `chunks` yields what
    arrives as it arrives (attach), `lines` whole lines (logs -f; a last line without newline comes at the end). Both
    end after `finish()` once everything that is written by then was given. Who reads so slowly that rotations overtake
    it misses the oldest, and is told (`Chunk.missed`). Close it when done.
    """

    def __init__(
        self,
        directory: str,
        *,
        stdout: bool = True,
        stderr: bool = True,
        from_start: bool = False,
        too_much: Callable[[LogFollower], None] | None = None,
    ) -> None:
        """`from_start`: all of the log.

        With `too_much` nothing is missed, until `give_up`: it is called when more is kept than a follower may keep,
        again with each rotation, and has to see to it that `overdue` falls.
        """
        os.makedirs(directory, mode=0o700, exist_ok=True)  # attached to before the container's first start
        self._directory = directory
        self._woken = asyncio.Event()
        self._finished = False
        self._closed = False
        self._too_much = too_much
        self._given = 0.0
        """When the reader got what it has not come back from yet (monotonic); 0 while it waits for more."""
        self._watcher: Watcher | None = None
        self._watch = -1
        try:
            found = watcher()
            self._watch = found.add(directory, self._wake)
            self._watcher = found
        except KernelError:
            self._watcher = None  # the machine's limit of watches is reached: look often instead
        wanted = Query(stdout=stdout, stderr=stderr).streams
        self._tails = [Tail(directory, stream, from_start, keep_all=too_much is not None) for stream in wanted]
        self._ends = {tail.stream: tail.position for tail in self._tails}

    def history(self, query: Query) -> Iterator[Chunk]:
        """As `read_logs`, of what stood in the log when this follower was made."""
        return _read(self._directory, query, self._ends)

    @property
    def overdue(self) -> float:
        """What is kept of rotated files, as a part of what a follower may keep; 0 once nothing more can come."""
        return 0.0 if self._closed or self._finished else max(tail.overdue for tail in self._tails)

    @property
    def standing_still(self) -> float:
        """Seconds for which the reader has not come back for more."""
        return time.monotonic() - self._given if self._given else 0.0

    def give_up(self) -> None:
        """Keep no more than any follower may."""
        self._too_much = None
        for tail in self._tails:
            tail.keep_all = False
            tail.give_up()

    async def chunks(self) -> AsyncIterator[Chunk]:
        while not self._is_closed():
            self._woken.clear()
            last = self._finished
            progress = False
            for chunk in self._new():
                progress = True
                self._given = time.monotonic()
                yield chunk
                self._given = 0.0
                if self._is_closed():
                    return
            if progress:
                await asyncio.sleep(0)  # a reader that never waits itself keeps nobody else from running
                continue
            if last:
                return
            await self._wait()

    async def lines(self) -> AsyncIterator[Chunk]:
        splitters = {tail.stream: _Splitter(tail.stream) for tail in self._tails}
        async for chunk in self.chunks():
            if chunk.missed:
                for line in splitters[chunk.stream].rest():
                    yield line
                yield chunk
            for line in splitters[chunk.stream].feed(chunk.time_ns, chunk.data):
                yield line
        for splitter in splitters.values():
            for line in splitter.rest():
                yield line

    def finish(self) -> None:
        """The container has ended and its log is complete: end after the rest."""
        self._finished = True
        self._woken.set()

    def close(self) -> None:
        """Let go of files and watch. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._woken.set()
        if self._watcher is not None:
            self._watcher.remove(self._watch, self._wake)
        for tail in self._tails:
            tail.close()

    def _is_closed(self) -> bool:
        return self._closed

    def _wake(self, appeared: bool) -> None:
        if appeared:
            self._look()
        self._woken.set()

    def _look(self) -> None:
        """After a rotation, at once, however far behind the reader is."""
        found = [tail.look(final=self._finished) for tail in self._tails]
        if any(found) and self._too_much is not None and self.overdue > 1:
            self._too_much(self)

    def _new(self) -> Iterator[Chunk]:
        """What is new in both streams, by time, a bounded amount at a time."""
        self._look()
        taken: list[tuple[Record, Tail, Pair]] = []
        for tail in self._tails:
            taken += [(record, tail, pair) for record, pair in tail.take(_PIECE)]
            if tail.missed:
                missed, tail.missed = tail.missed, 0
                yield Chunk(tail.stream, time.time_ns(), b"", missed)
        taken.sort(key=lambda each: each[0].time_ns)
        for record, tail, pair in taken:
            left = record.length
            for time_ns, data in _bytes(pair, record):
                left -= len(data)
                yield Chunk(tail.stream, time_ns, data)
            if pair.closed:
                tail.missed += left  # given up while the reader was away

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(_FAST if self._watcher is None else _SLOW):
                await self._woken.wait()
        except TimeoutError:
            return
