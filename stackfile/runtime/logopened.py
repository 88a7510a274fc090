"""What a follower that is to miss nothing has opened: the writer removes no file before that.

A follower has a marker in the log's directory, with the generation up to which it has opened a stream's files, and
holds it by flock(2) for as long as it lives; the marker of one that was killed goes when the writer next looks. Until
it has caught up the writer goes on in the same file, which then grows beyond its size.
"""

from __future__ import annotations

import fcntl
import os
import secrets

_PREFIX = "opened-"


class Opened:
    """A follower's marker for one stream. It tells of nothing opened at first."""

    def __init__(self, directory: str, stream: int) -> None:
        name = f"{stream}-{secrets.token_hex(8)}"
        fresh, self._path = f"{directory}/.{_PREFIX}{name}", f"{directory}/{_PREFIX}{name}"
        self._fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        os.rename(fresh, self._path)

    def tell(self, generation: int) -> None:
        """All files up to this generation are open. A disk without room leaves it at what was told before."""
        try:
            os.pwrite(self._fd, b"%020d" % generation, 0)
        except OSError:
            pass

    def close(self) -> None:
        """Every file may go."""
        if self._fd < 0:
            return
        try:
            os.unlink(self._path)
        except OSError:
            pass  # the container's directory is gone, or the writer took it for a dead one's
        os.close(self._fd)
        self._fd = -1


def opened(directory: str, stream: int) -> int | None:
    """The generation up to which all followers of a stream that are to miss nothing have opened it; None: no such."""
    least: int | None = None
    for name in os.listdir(directory):
        if name.startswith(f"{_PREFIX}{stream}-"):
            told = _told(f"{directory}/{name}")
            if told is not None and (least is None or told < least):
                least = told
    return least


def _told(path: str) -> int | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None  # it was closed just now
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.pread(fd, 20, 0) or 0)
    else:
        os.unlink(path)
        return None
    finally:
        os.close(fd)
