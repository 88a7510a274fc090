"""Room on the disk that a database owns before it needs it, so that a full disk never keeps it from deleting.

Removing things is how space is made, and a removal is a commit: it writes pages to the WAL, which a checkpoint then
copies into the database. So the blocks of the WAL between two checkpoints are allocated ahead (fallocate(2), beyond
its end), and the database holds free pages, within which alone it may grow (`max_page_count`): on a full disk the
growth is refused at the statement, and every checkpoint succeeds. SQLite removes the WAL with the last connection;
until the next open a file beside it keeps the blocks.

File systems without fallocate work as they would without a reserve; those that copy on write promise less.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from stackfile.errors import KernelError
from stackfile.kernel.syscalls import fallocate

PAGE = 4096
_FRAME = PAGE + 24
"""A page and its header in the WAL (https://www.sqlite.org/fileformat2.html#the_write_ahead_log)."""
_SHARED_MEMORY = 64 * 1024
_SHARE = 16
"""At most this part of a file system is set aside."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is set aside, in pages: for the WAL, and free in the database."""

    wal: int
    growth: int

    def on(self, path: str) -> Amount:
        """Less where the file system of `path` is small."""
        found = os.statvfs(os.path.dirname(path))
        most = found.f_blocks * found.f_frsize // PAGE // _SHARE
        if most == 0:
            return self  # one without a size
        return Amount(max(min(self.wal, most), 64), max(min(self.growth, most // 8), 8))

    @property
    def commits(self) -> int:
        """Between two checkpoints: one writes a handful of pages, and they have to fit."""
        return self.wal // 10


class Reserve:
    """The blocks of one database."""

    def __init__(self, path: str, wal: int) -> None:
        """`wal`: pages of the WAL."""
        self._path = path
        self._wal = wal * _FRAME
        self._file = -1
        self._kept = {f"{path}-reserve": self._wal, f"{path}-reserve2": _SHARED_MEMORY}
        self.possible = True
        """The file system can do it."""

    def free(self) -> None:
        """Before SQLite opens the database: that takes blocks, and two inodes."""
        for path in self._kept:
            if os.path.exists(path):
                os.unlink(path)

    def take(self) -> None:
        """Once it is open."""
        # Open until SQLite has closed it: with any descriptor of the file its locks would go (fcntl(2)).
        self._file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        self._allocate_at(f"{self._path}-wal", self._wal)

    def extend(self, pages: int) -> bool:
        """Allocate blocks for a database of `pages` pages, until the next checkpoint. False when there are none."""
        return self._allocate(self._file, pages * PAGE)

    def keep(self) -> None:
        """After SQLite has closed the database: hold what its WAL had."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        for path, size in self._kept.items():
            try:
                self._allocate_at(path, size)
            except OSError:
                return  # others were faster

    def _allocate_at(self, path: str, size: int) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._allocate(descriptor, size)
        finally:
            os.close(descriptor)

    def _allocate(self, descriptor: int, size: int) -> bool:
        if not self.possible:
            return False
        try:
            fallocate(descriptor, size, self._path)
        except KernelError as error:
            self.possible = error.full
            return False
        return True
