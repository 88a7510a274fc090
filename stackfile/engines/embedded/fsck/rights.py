"""Owners and modes of what only root may see: roots, key, databases, sockets, contents of secrets."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator

from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.fsck.problem import Problem, at_once

_OTHERS = 0o007
_ALL_BUT_OWNER = 0o077
_WRITE = 0o022


class RightsFaults:
    """Things that others than root may read, write or replace."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def look(self) -> list[Problem]:
        return await asyncio.to_thread(lambda: list(self._look()))

    def _look(self) -> Iterator[Problem]:
        paths, run = self._core.paths, self._core.run_paths
        # The run root lets a group pass to the socket, and a root may be in a place of the user's: none may write.
        for path in (paths.root, run.root, paths.database, run.database):
            yield from _judged(path, _WRITE)
        for path in (paths.key, paths.files, paths.layers, paths.blobs, paths.temporary, paths.volumes, paths.contexts):
            yield from _judged(path, _ALL_BUT_OWNER)
        yield from _judged(f"{paths.root}/containers", _ALL_BUT_OWNER)
        yield from _judged(run.socket, _OTHERS)
        for path in (run.supervisor, run.shim, run.resolver):
            yield from _judged(path, _OTHERS)
        for directory, _folders, files in os.walk(paths.files):
            for name in files:
                yield from _judged(f"{directory}/{name}", _ALL_BUT_OWNER)


def _judged(path: str, forbidden: int) -> Iterator[Problem]:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    mode = stat.S_IMODE(status.st_mode)
    owner = os.geteuid()
    if status.st_uid == owner and not mode & forbidden:
        return
    found = f"mode {mode:04o}, owner {status.st_uid}"
    wanted = mode & ~forbidden
    repair = at_once(_set, path, owner, wanted)
    yield Problem("rights-wrong", f"file {path}", found, f"it gets mode {wanted:04o}, owner {owner}", repair)


def _set(path: str, owner: int, mode: int) -> None:
    os.chown(path, owner, -1, follow_symlinks=False)
    os.chmod(path, mode)
