"""Where a follower stands in one stream of a log, while the log is rotated under it."""

from __future__ import annotations

import os

from stackfile.runtime.logindex import SIZE, index_name
from stackfile.runtime.logopened import Opened
from stackfile.runtime.logpairs import Pair, Record, newer_pairs, open_pairs

GONE_BYTES = 64 << 20
_GONE_PAIRS = 128
"""What may be kept of files that a rotation has removed: as long as a follower has them open, the disk is not free."""

Position = tuple[int, int]
"""Generation, and position in its index."""


class Tail:
    """Newer pairs are opened as they appear and kept, so that none is missed by a reader that is slow for a while.

    One that stands still would keep a log of any length on the disk: of what is rotated away only so much is kept,
    the newest, so that all who stand still keep the same. `missed` counts the bytes that were given up just before
    what `take` gives next.
    """

    def __init__(self, directory: str, stream: int, from_start: bool, *, keep_all: bool = False) -> None:
        """`keep_all`: give nothing up while this is set; what a rotation would remove stays until it is open here."""
        self.stream = stream
        self.missed = 0
        self.keep_all = keep_all
        self._directory = directory
        self._opened = _marker(directory, stream) if keep_all else None
        self._pairs = open_pairs(directory, stream)
        self._position = SIZE
        self._taken = 0
        """End of what was taken of the pair that is read."""
        self._given_up = 0
        """Bytes between the pair that is read and the next one."""
        if not from_start and self._pairs:
            for pair in self._pairs[:-1]:
                pair.close()
            self._pairs = self._pairs[-1:]
            self._position = max(self._pairs[0].indexed(), SIZE)
            self._taken = self._pairs[0].size()
        self._tell_opened()

    @property
    def position(self) -> Position:
        """Before a first file exists there is nothing before this position."""
        return (self._pairs[0].generation, self._position) if self._pairs else (0, SIZE)

    @property
    def overdue(self) -> float:
        """What is kept of removed files, as a part of what may be: above 1 it is too much."""
        gone = [pair for pair in self._pairs if pair.removed()]
        return max(sum(pair.size() for pair in gone) / GONE_BYTES, len(gone) / _GONE_PAIRS) if len(gone) > 1 else 0.0

    def look(self, *, final: bool = False) -> bool:
        """Open what a rotation (or the first byte) has made: whether there was something. `final`: the last look."""
        if self._pairs and not self._rotated():
            return False
        newest = self._pairs[-1].generation if self._pairs else 0
        found = newer_pairs(self._directory, self.stream, newest, final=final)
        if found and found[0].generation > newest + 1:
            # Removed before anybody looked. How long they were nobody knows: about as long as one next to them.
            found[0].gap = (found[0].generation - newest - 1) * (self._pairs or found)[-1].size()
            if not self._pairs:
                self._given_up = found[0].gap
        self._pairs += found
        self._tell_opened()
        self.give_up()
        return bool(found)

    def _tell_opened(self) -> None:
        if self._opened is not None and self._pairs:
            self._opened.tell(self._pairs[-1].generation)

    def _rotated(self) -> bool:
        try:
            current = os.stat(f"{self._directory}/{index_name(self.stream)}")
        except FileNotFoundError:
            return False
        return current.st_ino != os.fstat(self._pairs[-1].index).st_ino

    def give_up(self) -> None:
        """Let go of the oldest that are removed, also of the one that is being read: who reads looks at `closed`."""
        if self._opened is not None and not self.keep_all:
            self._opened.close()
        while not self.keep_all and self.overdue > 1:
            self._given_up += max(self._pairs[0].size() - self._taken, 0)
            self._next()

    def _next(self) -> None:
        """Go on with the next pair, and count what was rotated away before it."""
        self._pairs.pop(0).close()
        self._position, self._taken = SIZE, 0
        self._given_up += self._pairs[0].gap if self._pairs else 0

    def take(self, limit: int) -> list[tuple[Record, Pair]]:
        """Up to `limit` bytes' worth of new records, all of one pair."""
        taken: list[tuple[Record, Pair]] = []
        size = 0
        self._tell()
        while self._pairs and size < limit:
            pair = self._pairs[0]
            end = pair.indexed()
            for record in pair.records(self._position, min(end, self._position + 64 * SIZE)):
                taken.append((record, pair))
                size += record.length
                self._taken = record.offset + record.length
            if self._position < end:
                self._position = min(end, self._position + 64 * SIZE)
            elif len(self._pairs) > 1 and not taken:
                self._next()
                self._tell()
            else:
                break
        return taken

    def _tell(self) -> None:
        self.missed += self._given_up
        self._given_up = 0

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
        for pair in self._pairs:
            pair.close()
        self._pairs = []


def _marker(directory: str, stream: int) -> Opened | None:
    """None on a disk that takes none: then what was rotated away is told, as to anybody."""
    try:
        return Opened(directory, stream)
    except OSError:
        return None
