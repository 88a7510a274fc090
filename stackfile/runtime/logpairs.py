"""Opening log and index files for reading while the shim may be rotating them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from stackfile.runtime.logindex import HEADER, LOST, MAGIC, RECORD, SIZE, index_name, log_name

_ATTEMPTS = 20
_BLOCK = SIZE * 2048


@dataclass(frozen=True, slots=True)
class Record:
    """A chunk: where it is in the log, and when it came (ns since the epoch). Or `lost` bytes that came before it."""

    offset: int
    length: int
    time_ns: int
    lost: int = 0


class Pair:
    """A log and its index, open. `generation` orders the pairs of a stream; a rotated pair stays readable."""

    def __init__(self, log: int, index: int, generation: int) -> None:
        self.log = log
        self.index = index
        self.generation = generation
        self.closed = False
        self.gap = 0
        """Bytes that were rotated away between the pair before it and this one, about."""

    def close(self) -> None:
        self.closed = True
        os.close(self.log)
        os.close(self.index)

    def size(self) -> int:
        """Bytes of the log."""
        return os.fstat(self.log).st_size

    def removed(self) -> bool:
        """Whether a rotation has removed it: it is there as long as somebody has it open."""
        return os.fstat(self.log).st_nlink == 0

    def indexed(self) -> int:
        """Bytes of the index that hold whole records (and the header)."""
        size = os.fstat(self.index).st_size
        return size - size % SIZE

    def records(self, position: int, end: int) -> Iterator[Record]:
        """Records between two positions of the index, in order."""
        while position < end:
            block = os.pread(self.index, min(_BLOCK, end - position), position)
            block = block[: len(block) - len(block) % SIZE]
            if not block:
                return
            position += len(block)
            for offset, length, time_ns in RECORD.iter_unpack(block):
                yield _record(offset, length, time_ns)

    def records_backwards(self, end: int) -> Iterator[Record]:
        """Records before a position of the index, last first."""
        while end > SIZE:
            start = max(end - _BLOCK, SIZE)
            block = os.pread(self.index, end - start, start)
            for offset, length, time_ns in reversed(list(RECORD.iter_unpack(block))):
                yield _record(offset, length, time_ns)
            end = start

    def tail_record(self) -> Record | None:
        """Bytes without a record yet: a shim was killed between writing both, or is about to write it."""
        status = os.fstat(self.log)
        covered = 0
        for record in self.records_backwards(self.indexed()):
            if not record.lost:
                covered = record.offset + record.length
                break
        if status.st_size <= covered:
            return None
        return Record(covered, status.st_size - covered, status.st_mtime_ns)

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self.log, length, offset)

    def notice(self, record: Record) -> bytes:
        """What is read in place of bytes that the disk did not take: a line of its own."""
        begun = record.offset > 0 and self.read(record.offset - 1, 1) != b"\n"
        text = b"[stackfile: %d bytes of output are missing here, the disk did not take them]\n" % record.lost
        return b"\n" + text if begun else text


def _record(offset: int, length: int, time_ns: int) -> Record:
    return Record(offset, 0, time_ns, length ^ LOST) if length & LOST else Record(offset, length, time_ns)


def open_pairs(directory: str, stream: int) -> list[Pair]:
    """Pairs of a stream, oldest first. The caller closes them."""
    return _find(directory, stream, -1)[0]


def newer_pairs(directory: str, stream: int, after: int, *, final: bool) -> list[Pair]:
    """Pairs of a stream whose generation is above `after`, oldest first. The caller closes them.

    What is missing between `after` and the first of them is gone for good. While a rotation goes on that is not known:
    then there are none yet, unless this is the `final` look (one that was cut short by a kill stays as it is).
    """
    found, complete = _find(directory, stream, after)
    if complete or final or not found or found[0].generation == after + 1:
        return found
    for pair in found:
        pair.close()
    return []


def _find(directory: str, stream: int, after: int) -> tuple[list[Pair], bool]:
    """(pairs above `after`, whether those are all)."""
    found: dict[int, Pair] = {}
    complete = False
    for attempt in range(_ATTEMPTS):
        complete = _collect(directory, stream, after, found, last=attempt == _ATTEMPTS - 1)
        if complete:
            break
    return [found[generation] for generation in sorted(found)], complete


def _collect(directory: str, stream: int, after: int, found: dict[int, Pair], *, last: bool) -> bool:
    """Open what is there. False when a rotation came between (the caller tries again), or was cut short by a kill."""
    number = 0
    complete = True
    while True:
        try:
            pair = _open(directory, stream, number, last=last)
        except FileNotFoundError:
            # Between two renames of a rotation a number is missing; the next one then exists.
            if not os.path.exists(f"{directory}/{index_name(stream, number + 1)}"):
                return complete
            pair = None
        if pair is None:
            complete = False
            number += 1
            continue
        if pair.generation <= after or pair.generation in found:
            pair.close()
            if pair.generation <= after:
                return complete
        else:
            found[pair.generation] = pair
        number += 1


def _open(directory: str, stream: int, number: int, *, last: bool) -> Pair | None:
    """One pair; None when its two files are of different generations. Raises FileNotFoundError."""
    flags = os.O_RDONLY | os.O_CLOEXEC
    index = os.open(f"{directory}/{index_name(stream, number)}", flags)
    try:
        header = os.pread(index, SIZE, 0)
        log = os.open(f"{directory}/{log_name(stream, number)}", flags)
    except BaseException:
        os.close(index)
        raise
    if len(header) == SIZE:
        magic, generation, inode = HEADER.unpack(header)
        if magic == MAGIC and (last or os.fstat(log).st_ino == inode):
            return Pair(log, index, generation)
    os.close(log)
    os.close(index)
    if last:
        raise FileNotFoundError(f"{directory}/{index_name(stream, number)}")
    return None
