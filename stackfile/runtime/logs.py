"""Reading the logs that the shim writes: by line with times, from the end, over rotation, and following.

Format: `stdout.log` and `stderr.log` hold the bytes as they came; beside each an index (`logindex`) with a record
per chunk: offset, length, time. Rotated pairs are `stdout.log.1`, `stdout.idx.1`, …, the highest number oldest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

STDOUT, STDERR = 1, 2


@dataclass(frozen=True, slots=True)
class Chunk:
    """Output: stream 1 or 2, time in ns since the epoch, bytes."""

    stream: int
    time_ns: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to read. `until_ns` 0 is no end; `tail` None is everything."""

    stdout: bool = True
    stderr: bool = True
    since_ns: int = 0
    until_ns: int = 0
    tail: int | None = None


def read_logs(directory: str, query: Query) -> Iterator[Chunk]:
    """Lines (with their newline; the last one may lack it) of both streams, by time, oldest first.

    With `tail` only as much of the files is read as the last lines need.
    """
    raise NotImplementedError


class LogFollower:
    """Output that is added to a container's log from the moment of construction on.

        with LogFollower(directory, query) as follower:
            history = read_logs(directory, query)   # nothing is lost or doubled between the two: see `start`
            async for chunk in follower.chunks(): …

    `chunks` yields what arrives as it arrives (attach), `lines` whole lines (logs -f; a partial line is given when
    `finish` was called). Both end after `finish()` once everything that is written by then was given.
    """

    def __init__(
        self, directory: str, *, stdout: bool = True, stderr: bool = True, from_start: bool = False
    ) -> None: ...

    def chunks(self) -> AsyncIterator[Chunk]: ...

    def lines(self) -> AsyncIterator[Chunk]: ...

    def finish(self) -> None:
        """The container has ended and its log is complete: end after the rest."""

    def close(self) -> None: ...
