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

_NONBLOCK = 2  # SPLICE_F_NONBLOCK
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EROFS)


class LogWriter:
    """The log of one stream (1 stdout, 2 stderr). Files are made with the first byte."""

    def __init__(self, logs: Logs, stream: int) -> None:
        self._logs = logs
        self._stream = stream
        self._log = self._index = -1
        self._offset = 0
        self._generation = 1
        self._lost = 0

    def take(self, pipe: int, limit: int) -> int:
        """Move at most `limit` bytes from a non-blocking pipe. Returns how many, 0 at its end, -1 when it is empty.

        A disk that refuses costs the bytes, never time: they are read, dropped and counted.
        """
        try:
            if self._log < 0:
                # No files for a stream that never says anything.
                os.makedirs(self._logs.directory, mode=0o700, exist_ok=True)
                self._open()
            moved = os.splice(pipe, self._log, limit, offset_dst=self._offset, flags=_NONBLOCK)
        except BlockingIOError:
            return -1
        except OSError as error:
            if error.errno not in _FULL and self._log >= 0:
                raise
            return self._discard(pipe, limit)
        if moved:
            self._record(moved)
            if self._offset >= self._logs.max_size:
                self._rotate()
        return moved

    def close(self) -> None:
        for fd in (self._log, self._index):
            if fd >= 0:
                os.close(fd)
        self._log = self._index = -1

    def _record(self, moved: int) -> None:
        now = time.time_ns()
        rows = RECORD.pack(self._offset, moved, now)
        if self._lost:
            rows = RECORD.pack(self._offset, LOST | self._lost, now) + rows
        self._offset += moved
        try:
            os.write(self._index, rows)
            self._lost = 0
        except OSError as error:
            if error.errno not in _FULL:
                raise

    def _discard(self, pipe: int, limit: int) -> int:
        try:
            dropped = len(os.read(pipe, min(limit, 1 << 16)))
        except BlockingIOError:
            return -1
        self._lost += dropped
        return dropped

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
        status = os.fstat(log)
        self._offset = status.st_size
        covered = self._resume_index(status.st_ino)
        if covered < self._offset:
            os.write(index, RECORD.pack(covered, self._offset - covered, time.time_ns()))

    def _resume_index(self, inode: int) -> int:
        """Position the index at its end. Returns how many bytes of the log it covers."""
        size = os.fstat(self._index).st_size
        size -= size % SIZE  # a half-written record
        if size == 0:
            os.ftruncate(self._index, 0)
            os.write(self._index, HEADER.pack(MAGIC, self._generation, inode))
            return 0
        _, self._generation, _ = HEADER.unpack(os.pread(self._index, SIZE, 0))
        os.lseek(self._index, size, os.SEEK_SET)
        position = size - SIZE
        while position > 0:
            offset, length, _ = RECORD.unpack(os.pread(self._index, SIZE, position))
            if not length & LOST:
                return int(offset + length)
            position -= SIZE
        return 0

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
