"""What a container changed of its image's files: its upper directory compared with the layers below."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from stackfile.images.view import MergedView

MODIFIED, ADDED, DELETED = 0, 1, 2


def changes(upper: str, lower: Sequence[str]) -> list[tuple[int, str]]:
    """(kind, path) sorted by path; a directory counts as modified when something in it is."""
    found: list[tuple[int, str]] = []
    with MergedView(lower) as below:
        for directory, names, files in os.walk(upper):
            inside = "/" + os.path.relpath(directory, upper).removeprefix(".").lstrip("/")
            for name in (*names, *files):
                path = os.path.join(inside, name)
                status = os.lstat(os.path.join(directory, name))
                if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
                    found.append((DELETED, path))
                else:
                    found.append((MODIFIED if _exists(below, path) else ADDED, path))
    return sorted(found, key=lambda item: item[1])


def _exists(view: MergedView, path: str) -> bool:
    node = view.lookup(path, follow=False)
    if node is None:
        return False
    node.close()
    return True


def usage(directory: str) -> int:
    """Bytes of the files below a directory, hard links once; 0 when it is not there."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for parent, _, files in os.walk(directory):
        for name in files:
            try:
                status = os.lstat(os.path.join(parent, name))
            except FileNotFoundError:
                continue
            key = (status.st_dev, status.st_ino)
            if key not in seen and not stat.S_ISCHR(status.st_mode):
                seen.add(key)
                total += status.st_size
    return total
