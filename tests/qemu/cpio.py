"""The archive that the kernel unpacks at boot (Documentation/driver-api/early-userspace/buffer-format.rst, newc)."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO


class Archive:
    """Writes files under their own paths, parents first, each once. Everything belongs to root."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._known: set[str] = set()

    def add(self, source: Path, target: str = "") -> None:
        """A file or link (with what it leads to) or an empty directory, at `target` or its own path."""
        path = target or str(source)
        if path in self._known:
            return
        state = source.lstat()
        if stat.S_ISLNK(state.st_mode):
            link = os.readlink(source)
            self._entry(path, state.st_mode, int(state.st_mtime), link.encode())
            self.add(Path(os.path.normpath(source.parent / link)))
        elif stat.S_ISDIR(state.st_mode):
            self.directory(path)
        else:
            self._entry(path, state.st_mode, int(state.st_mtime), source.read_bytes())

    def tree(self, source: Path, target: str = "", skip: frozenset[str] = frozenset()) -> None:
        """A directory with all in it, but what has a name of `skip`."""
        base = target or str(source)
        for entry in sorted(source.iterdir()):
            if entry.name in skip:
                continue
            if entry.is_dir() and not entry.is_symlink():
                self.tree(entry, f"{base}/{entry.name}", skip)
            else:
                self.add(entry, f"{base}/{entry.name}")

    def directory(self, path: str) -> None:
        self._entry(path, stat.S_IFDIR | 0o755, 0, b"")

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        self._entry(path, stat.S_IFREG | mode, 0, data)

    def device(self, path: str, major: int, minor: int) -> None:
        self._entry(path, stat.S_IFCHR | 0o600, 0, b"", major, minor)

    def close(self) -> None:
        self._write("TRAILER!!!", 0, 0, b"", 0, 0)

    def _entry(self, path: str, mode: int, mtime: int, data: bytes, major: int = 0, minor: int = 0) -> None:
        name = path.strip("/")
        if f"/{name}" in self._known:
            return
        parent = os.path.dirname(name)
        if parent and f"/{parent}" not in self._known:
            self.directory(f"/{parent}")
        self._known.add(f"/{name}")
        self._write(name, mode, mtime, data, major, minor)

    def _write(self, name: str, mode: int, mtime: int, data: bytes, major: int, minor: int) -> None:
        numbers = (len(self._known), mode, 0, 0, 1, mtime, len(data), 0, 0, major, minor, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % number for number in numbers) + name.encode() + b"\0"
        self._out.write(head + b"\0" * (-len(head) % 4))
        self._out.write(data + b"\0" * (-len(data) % 4))
