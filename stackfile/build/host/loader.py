"""Where the dynamic loader finds a library: ld.so(8), and the cache's format in glibc `sysdeps/generic/dl-cache.h`."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stackfile.build.host import elf
from stackfile.build.host.elf import Elf

CACHE = "/etc/ld.so.cache"
_MAGIC_OLD = b"ld.so-1.7.0\0"
_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = 48
_ENTRY = struct.Struct("=iIIIQ")
_DEFAULT = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib")
_TRIPLETS: Mapping[int, str] = {62: "x86_64-linux-gnu", 183: "aarch64-linux-gnu", 3: "i386-linux-gnu",
                                40: "arm-linux-gnueabihf", 243: "riscv64-linux-gnu"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Library:
    """A library that was found. `searched` is true where the loader finds it only by its cache."""

    path: str
    cached: bool


def read_cache(path: str = CACHE) -> dict[str, list[str]]:
    """Library name → paths of the loader's cache; empty where there is none (musl)."""
    try:
        with open(path, "rb") as file:
            return parse_cache(file.read())
    except FileNotFoundError:
        return {}


def parse_cache(data: bytes) -> dict[str, list[str]]:
    """Entries without hardware capabilities, in the cache's order. Empty for an unknown format."""
    if data.startswith(_MAGIC_OLD):
        # The old format may hold the new one behind it, aligned to 8.
        count = struct.unpack_from("=I", data, 12)[0]
        data = data[(16 + 12 * count + 7) & ~7 :]
    if not data.startswith(_MAGIC):
        return {}
    entries: dict[str, list[str]] = {}
    count = struct.unpack_from("=I", data, 20)[0]
    for index in range(count):
        _, key, value, _, capabilities = _ENTRY.unpack_from(data, _HEADER + index * _ENTRY.size)
        if not capabilities:
            entries.setdefault(_text(data, key), []).append(_text(data, value))
    return entries


class Loader:
    """Finds libraries as the dynamic loader of this machine would."""

    def __init__(self) -> None:
        self._cache = read_cache()
        self._elfs: dict[str, Elf | None] = {}

    def elf(self, path: str) -> Elf | None:
        """The dynamic part of a file, read once. None when it is no ELF file or cannot be read."""
        if path not in self._elfs:
            try:
                self._elfs[path] = elf.read(path)
            except OSError:
                self._elfs[path] = None
        return self._elfs[path]

    def find(self, name: str, by: Elf, origin: str, inherited: Sequence[str] = ()) -> Library | None:
        """The library `name` needed by the file `by` at `origin`; `inherited` are RPATHs of what loaded that."""
        if "/" in name:
            return self._accept(name, by, cached=False)
        rpath = () if by.runpath else (*expand(by.rpath, origin), *inherited)
        for directory in (*rpath, *expand(by.runpath, origin)):
            found = self._accept(f"{directory}/{name}", by, cached=False)
            if found:
                return found
        defaults = default_directories(by)
        for path in self._cache.get(name, ()):
            found = self._accept(path, by, cached=os.path.dirname(path) not in defaults)
            if found:
                return found
        for directory in defaults:
            found = self._accept(f"{directory}/{name}", by, cached=False)
            if found:
                return found
        return None

    def _accept(self, path: str, by: Elf, *, cached: bool) -> Library | None:
        found = self.elf(path)
        return Library(path, cached) if found is not None and found.kind == by.kind else None


def default_directories(by: Elf) -> tuple[str, ...]:
    """Directories that the loader searches without its cache: Debian's with the triplet first."""
    triplet = _TRIPLETS.get(by.kind[2])
    return ((f"/lib/{triplet}", f"/usr/lib/{triplet}") if triplet else ()) + _DEFAULT


def expand(directories: Sequence[str], origin: str) -> tuple[str, ...]:
    """RPATH or RUNPATH entries with `$ORIGIN` (the file's own directory) filled in; other variables are left out."""
    here = os.path.dirname(origin)
    filled = (item.replace("${ORIGIN}", here).replace("$ORIGIN", here) for item in directories)
    return tuple(os.path.normpath(item) for item in filled if "$" not in item and item.startswith("/"))


def _text(data: bytes, offset: int) -> str:
    return os.fsdecode(data[offset : data.index(b"\0", offset)])
