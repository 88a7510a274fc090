"""Writing a container's log: bytes spliced from a pipe to a file, an index record for each, rotation.

Splicing consumes and records in one system call, so a shim that is killed at any moment loses nothing: what was
spliced is in the file (its missing index record is made up for by the next writer), the rest is still in the pipe.
"""

from __future__ import annotations

import errno
import os
import time

from stackfile.runtime.instructions import Logs
from stackfile.runtime.logindex import HEADER, LOST, MAGIC, RECORD, SIZE, index_name, log_name
from stackfile.runtime.logopened import opened

_NONBLOCK = 2  # SPLICE_F_NONBLOCK
_COPY = 1 << 16
_TELL = 1.0
"""Seconds between two records of nothing but lost bytes."""
_BEYOND = 256 << 20
"""Bytes by which a file may exceed its size while those before it are not open to who is to miss nothing."""


class LogWriter:
    """The log of one stream (1 stdout, 2 stderr). Files are made with the first byte."""

    def __init__(self, logs: Logs, stream: int) -> None:
        self._logs = logs
        self._stream = stream
        self._log = self._index = -1
        self._offset = 0
        """End of the log."""
        self._covered = 0
        """End of what the index covers."""
        self._index_end = 0
        self._generation = 1
        self._lost = 0
        """Bytes that the disk did not take and the index does not tell of yet."""
        self._told = 0.0

    def take(self, pipe: int, limit: int) -> int:
        """Move at most `limit` bytes from a non-blocking pipe. Returns how many, 0 at its end, -1 when it is empty.

        A disk that refuses costs the bytes, never time: they are read, dropped and counted.
        """
        try:
            if self._log < 0:
                os.makedirs(self._logs.directory, mode=0o700, exist_ok=True)
                self._open()
            moved = os.splice(pipe, self._log, limit, offset_dst=self._offset, flags=_NONBLOCK)
        except BlockingIOError:
            return -1
        except OSError:
            return self._copy(pipe, limit)
        self._added(moved)
        return moved

    def _copy(self, pipe: int, limit: int) -> int:
        """Where splicing fails: by hand (a file system that cannot splice), or not at all (a full one)."""
        try:
            data = os.read(pipe, min(limit, _COPY))
        except BlockingIOError:
            return -1
        try:
            written = os.pwrite(self._log, data, self._offset) if self._log >= 0 else 0
        except OSError:
            written = 0
        self._added(written)
        self._lost += len(data) - written
        if self._lost and time.monotonic() - self._told > _TELL:
            self._tell()
        return len(data)

    def _added(self, count: int) -> None:
        """`count` bytes more are in the log: index them, rotate when it is time."""
        if not count:
            return
        self._offset += count
        try:
            self._record()
            if self._offset >= self._logs.max_size and self._may_rotate():
                self._rotate()
        except OSError:
            return  # the next record covers these bytes; the next take opens what could not be made

    def _record(self) -> None:
        """One record for all that has none. The index holds whole records only: a half-written one is cut off."""
        now = time.time_ns()
        rows = RECORD.pack(self._covered, self._offset - self._covered, now)
        if self._lost:
            rows = RECORD.pack(self._covered, LOST | self._lost, now) + rows
        if self._write(rows):
            self._covered = self._offset
            self._lost = 0

    def _write(self, rows: bytes) -> bool:
        """Append to the index, whole or not at all. Raises OSError."""
        if os.pwrite(self._index, rows, self._index_end) != len(rows):
            os.ftruncate(self._index, self._index_end)
            return False
        self._index_end += len(rows)
        return True

    def _tell(self) -> None:
        """Of lost bytes alone: while a disk is full a record often fits still where no more output does."""
        self._told = time.monotonic()
        if self._index < 0 or self._covered < self._offset:
            return
        try:
            if self._write(RECORD.pack(self._covered, LOST | self._lost, time.time_ns())):
                self._lost = 0
        except OSError:
            return  # told with the next bytes that go in

    def close(self) -> None:
        if self._lost:
            self._tell()
        for fd in (self._log, self._index):
            if fd >= 0:
                os.close(fd)
        self._log = self._index = -1

    def _path(self, name: str) -> str:
        return f"{self._logs.directory}/{name}"

    def _open(self) -> None:
        """Open or make the current pair; bytes that a killed shim did not index get a record now."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        log = os.open(self._path(log_name(self._stream)), flags, 0o640)
        try:
            index = os.open(self._path(index_name(self._stream)), flags, 0o640)
        except OSError:
            os.close(log)
            raise
        self._log, self._index = log, index
        try:
            status = os.fstat(log)
            self._offset = status.st_size
            self._covered = self._resume_index(status.st_ino)
            if self._covered < self._offset:
                self._record()
        except OSError:
            self.close()
            raise

    def _resume_index(self, inode: int) -> int:
        """Find the index's end, cut off half a record. Returns how many bytes of the log it covers."""
        size = os.fstat(self._index).st_size
        self._index_end = size - size % SIZE
        os.ftruncate(self._index, self._index_end)
        if self._index_end == 0:
            if os.pwrite(self._index, HEADER.pack(MAGIC, self._generation, inode), 0) != SIZE:
                os.ftruncate(self._index, 0)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path(index_name(self._stream)))
            self._index_end = SIZE
            return 0
        _, self._generation, _ = HEADER.unpack(os.pread(self._index, SIZE, 0))
        for position in range(self._index_end - SIZE, 0, -SIZE):
            offset, length, _ = RECORD.unpack(os.pread(self._index, SIZE, position))
            if not length & LOST:
                return int(offset + length)
        return 0

    def _may_rotate(self) -> bool:
        """Whether everybody who is to miss nothing has opened what a rotation removes."""
        removed = self._generation - self._logs.max_files + 1
        if removed < 1 or self._offset >= self._logs.max_size + _BEYOND:
            return True
        told = opened(self._logs.directory, self._stream)
        return told is None or told >= removed

    def _rotate(self) -> None:
        """current → .1 → .2 …; the oldest goes. Readers that have a file open keep it."""
        self.close()
        for number in range(self._logs.max_files - 1, -1, -1):
            for name in (log_name, index_name):
                path = self._path(name(self._stream, number))
                try:
                    if number == self._logs.max_files - 1:
                        os.unlink(path)
                    else:
                        os.rename(path, self._path(name(self._stream, number + 1)))
                except FileNotFoundError:
                    continue
        self._generation += 1
        self._open()
