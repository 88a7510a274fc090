"""SQLite's errors as ours: which of them the disk is to blame for (https://www.sqlite.org/rescode.html)."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from stackfile.errors import ActionError, ConflictError
from stackfile.refusals import nearest, refusal

_BY_CODE = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_CANTOPEN: errno.EIO,
}
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_BLOCK = 4096
_SYNCS = ("SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC")


@contextmanager
def told(path: str) -> Iterator[None]:
    """Errors about the disk below `path` become ActionError; a wrong statement or a constraint stays what it is."""
    try:
        yield
    except sqlite3.Error as error:
        known = _known(error, path)
        if known is None:
            raise
        raise known from error
    except OSError as error:
        known = refusal(error, path)
        if known is None:
            raise
        raise known from error


def unsynced(error: ActionError) -> bool:
    """Whether what was written may be lost though a later sync succeeds (https://lwn.net/Articles/752063/)."""
    return error.details.get("sqlite") in _SYNCS


def _known(error: sqlite3.Error, path: str) -> ActionError | None:
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    name = getattr(error, "sqlite_errorname", "")
    if primary in _DAMAGED:
        return ActionError(
            "database-damaged",
            f"{path} is damaged",
            cause=str(error),
            hint="put a copy of it back; `stackfile system reset` starts anew without it",
        )
    if primary in _BUSY:
        return ConflictError("in-use", f"{path} is locked by another process", cause=str(error))
    number = _BY_CODE.get(primary)
    if number is None:
        return None
    found = refusal(OSError(_better(number, path), ""), path)
    assert found is not None
    found.details["sqlite"] = name
    if name in _SYNCS:
        found.hint = (
            "nothing is written any more, so that nothing is lost unseen: see `dmesg`, mend the disk, then end the "
            "daemon (SIGTERM to the pid of `stackfile daemon status`); another one starts, and containers run on"
        )
    found.cause = f"{found.cause} ({name}: {error})"
    return found


def _better(number: int, path: str) -> int:
    """SQLite calls most refusals an input or output error; the file system says which it is, asked for a block more."""
    if number != errno.EIO:
        return number
    directory = nearest(os.path.dirname(path))
    try:
        probe = os.open(directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(probe, bytes(_BLOCK), 0)
        finally:
            os.close(probe)
        state = os.statvfs(directory)
    except OSError as error:
        return error.errno or number if refusal(error) else number
    full = (state.f_blocks and not state.f_bavail) or (state.f_files and not state.f_favail)
    return errno.ENOSPC if full else number
