"""Reads what the dynamic loader needs to know of an ELF file (elf(5), gABI chapter 5). Nothing is executed."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 10, 15, 29
_LONGEST_TABLE = 16 << 20
_LARGEST_FILE = 1 << 40


@dataclass(frozen=True, slots=True)
class Elf:
    """`kind` is (class, data, machine): a library must have the same as what loads it."""

    kind: tuple[int, int, int]
    interpreter: str = ""
    needed: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


def read(path: str) -> Elf | None:
    """The dynamic part of an ELF file; None when it is no ELF file (or a broken one). OSError as open(2)."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _Reader(fd).read()
    except (struct.error, ValueError):
        return None
    finally:
        os.close(fd)


class _Reader:
    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._order = "<"
        self._wide = True

    def read(self) -> Elf | None:
        ident = os.pread(self._fd, 64, 0)
        if ident[:4] != b"\x7fELF" or ident[4] not in (1, 2) or ident[5] not in (1, 2):
            return None
        self._wide = ident[4] == 2
        self._order = "<" if ident[5] == 1 else ">"
        machine = self._unpack("H", ident[18:20])[0]
        kind = (ident[4], ident[5], machine)
        segments = self._segments(ident)
        interpreter = ""
        dynamic: dict[int, list[int]] = {}
        for segment in segments:
            if segment.kind == _PT_INTERP:
                interpreter = os.fsdecode(self._bytes(segment.offset, segment.size).rstrip(b"\0"))
            elif segment.kind == _PT_DYNAMIC:
                dynamic = self._dynamic(segment)
        if not dynamic.get(_DT_STRTAB):
            return Elf(kind, interpreter)
        return self._resolve(kind, interpreter, dynamic, segments)

    def _resolve(
        self, kind: tuple[int, int, int], interpreter: str, dynamic: dict[int, list[int]], segments: list[_Segment]
    ) -> Elf:
        table = self._strings(dynamic, segments)

        def texts(tag: int) -> list[str]:
            return [os.fsdecode(table[at : table.index(b"\0", at)]) for at in dynamic.get(tag, ())]

        def directories(tag: int) -> tuple[str, ...]:
            return tuple(item for text in texts(tag) for item in text.split(":") if item)

        return Elf(kind, interpreter, tuple(texts(_DT_NEEDED)), directories(_DT_RPATH), directories(_DT_RUNPATH))

    def _segments(self, ident: bytes) -> list[_Segment]:
        if self._wide:
            offset = self._unpack("Q", ident[32:40])[0]
            size, count = self._unpack("HH", ident[54:58])
        else:
            offset = self._unpack("I", ident[28:32])[0]
            size, count = self._unpack("HH", ident[42:46])
        data = self._bytes(offset, size * count)
        return [self._segment(data[at : at + size]) for at in range(0, len(data), size)]

    def _segment(self, data: bytes) -> _Segment:
        if self._wide:
            kind, _, offset, address, _, size = self._unpack("IIQQQQ", data[:40])
        else:
            kind, offset, address, _, size = self._unpack("IIIII", data[:20])
        return _Segment(kind, offset, address, size)

    def _dynamic(self, segment: _Segment) -> dict[int, list[int]]:
        entries: dict[int, list[int]] = {}
        form = "qQ" if self._wide else "iI"
        data = self._bytes(segment.offset, segment.size)
        step = struct.calcsize(self._order + form)
        for at in range(0, len(data) - step + 1, step):
            tag, value = self._unpack(form, data[at : at + step])
            if tag == _DT_NULL:
                break
            entries.setdefault(tag, []).append(value)
        return entries

    def _strings(self, dynamic: dict[int, list[int]], segments: list[_Segment]) -> bytes:
        address = dynamic[_DT_STRTAB][0]
        size = dynamic.get(_DT_STRSZ, [0])[0]
        for segment in segments:
            if segment.kind == _PT_LOAD and segment.address <= address < segment.address + segment.size:
                return self._bytes(segment.offset + address - segment.address, size) + b"\0"
        raise ValueError("the string table lies in no segment")

    def _bytes(self, offset: int, size: int) -> bytes:
        if size > _LONGEST_TABLE or offset > _LARGEST_FILE:
            raise ValueError("a table is too long or too far away")
        return os.pread(self._fd, size, offset)

    def _unpack(self, form: str, data: bytes) -> tuple[int, ...]:
        return struct.unpack(self._order + form, data)
