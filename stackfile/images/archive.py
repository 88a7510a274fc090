"""Tar archives of layers: members, and a writer whose output depends on its input alone.

POSIX.1-2017 pax interchange format; extended attributes as `SCHILY.xattr.*` (OCI image-spec layer.md).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from stackfile.errors import ActionError
from stackfile.images import durable

EPOCH = 315_532_800
"""Time of files whose own time says nothing (1980-01-01, the earliest that zip archives can tell)."""

_CHUNK = 1 << 20
_TYPES = {"file": b"0", "hardlink": b"1", "symlink": b"2", "char": b"3", "block": b"4", "dir": b"5", "fifo": b"6"}
_LARGEST_OCTAL = 0o7777777
_LARGEST_SIZE = 0o77777777777


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of an archive. `path` is relative, without a slash at its end; text is UTF-8 with surrogateescape.

    `content` of a file is its bytes, or the path of a file that holds them.
    """

    path: str
    type: str
    mode: int
    uid: int = 0
    gid: int = 0
    mtime: int = EPOCH
    """Seconds."""
    size: int = 0
    target: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, bytes] = field(default_factory=dict)
    content: bytes | str = b""
    digest: str = ""
    """What the content of a file must be; "" for whatever it is."""


@dataclass(frozen=True, slots=True)
class Written:
    """A finished archive: digest and bytes of it, number of members that are not directories."""

    digest: str
    size: int
    files: int


def write(members: Iterable[Member], path: str) -> Written:
    """Write members (sorted by path here, so parents come first) to a new file.

    ActionError: `digest-mismatch` when a file is not what its member says, `disk-full`.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with durable.full_disk(path), open(fd, "wb", buffering=_CHUNK) as file:
        writer = Writer(file)
        for member in sorted(members, key=lambda item: os.fsencode(item.path)):
            writer.add(member)
        return writer.finish()


class Writer:
    """Writes members one after the other, and knows the digest of what it wrote."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._size = 0
        self._files = 0

    def add(self, member: Member) -> None:
        """Append a member. ActionError (`digest-mismatch`) when its content changed while it was read."""
        self._emit(header(member))
        if member.type != "dir":
            self._files += 1
        if member.type != "file":
            return
        if isinstance(member.content, bytes):
            self._check(member, len(member.content), hashlib.sha256(member.content).hexdigest())
            self._emit(member.content)
        else:
            self._copy(member, member.content)
        self._emit(bytes(-member.size % 512))

    def add_stream(self, member: Member, fd: int) -> None:
        """Append a file whose content is read from `fd`."""
        self._emit(header(member))
        self._files += 1
        left = member.size
        while left:
            data = os.read(fd, min(left, _CHUNK))
            if not data:
                raise _changed(member)
            self._emit(data)
            left -= len(data)
        self._emit(bytes(-member.size % 512))

    def finish(self) -> Written:
        """Write the end of the archive."""
        self._emit(bytes(1024))
        self._file.flush()
        return Written("sha256:" + self._hash.hexdigest(), self._size, self._files)

    def _copy(self, member: Member, path: str) -> None:
        content = hashlib.sha256()
        left = member.size
        with open(path, "rb", buffering=0) as source:
            while left:
                data = source.read(min(left, _CHUNK))
                if not data:
                    break
                if member.digest:
                    content.update(data)
                self._emit(data)
                left -= len(data)
            if source.read(1):
                left = -1
        self._check(member, member.size - left, content.hexdigest())

    @staticmethod
    def _check(member: Member, size: int, content: str) -> None:
        if size != member.size or (member.digest and member.digest != f"sha256:{content}"):
            raise _changed(member)

    def _emit(self, data: bytes) -> None:
        self._hash.update(data)
        self._file.write(data)
        self._size += len(data)


def header(member: Member) -> bytes:
    """The header block of a member, with a pax header before it where ustar cannot say everything."""
    name = os.fsencode(member.path) + (b"/" if member.type == "dir" else b"")
    link = os.fsencode(member.target)
    pax: dict[bytes, bytes] = {}
    if len(name) > 100:
        pax[b"path"] = name
    if len(link) > 100:
        pax[b"linkpath"] = link
    for key, value, largest in (
        (b"size", member.size, _LARGEST_SIZE),
        (b"uid", member.uid, _LARGEST_OCTAL),
        (b"gid", member.gid, _LARGEST_OCTAL),
        (b"mtime", member.mtime, _LARGEST_SIZE),
    ):
        if not 0 <= value <= largest:
            pax[key] = b"%d" % value
    for attribute, data in sorted(member.xattrs.items()):
        pax[b"SCHILY.xattr." + os.fsencode(attribute)] = data
    size = member.size if member.type == "file" else 0
    block = _block(member, name, link, size)
    return _pax_blocks(name, pax) + block if pax else block


def _block(member: Member, name: bytes, link: bytes, size: int) -> bytes:
    block = bytearray(512)
    block[0:100] = name[:100].ljust(100, b"\0")
    block[100:108] = b"%07o\0" % member.mode
    block[108:116] = b"%07o\0" % _octal(member.uid, _LARGEST_OCTAL)
    block[116:124] = b"%07o\0" % _octal(member.gid, _LARGEST_OCTAL)
    block[124:136] = b"%011o\0" % _octal(size, _LARGEST_SIZE)
    block[136:148] = b"%011o\0" % _octal(member.mtime, _LARGEST_SIZE)
    block[156:157] = _TYPES[member.type]
    block[157:257] = link[:100].ljust(100, b"\0")
    block[257:265] = b"ustar\x0000"
    block[329:337] = b"%07o\0" % member.device[0]
    block[337:345] = b"%07o\0" % member.device[1]
    return _sum(block)


def _octal(value: int, largest: int) -> int:
    """What the ustar field says when the pax header has the real value."""
    return value if 0 <= value <= largest else 0


def _sum(block: bytearray) -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _pax_blocks(name: bytes, records: Mapping[bytes, bytes]) -> bytes:
    body = b"".join(_pax_record(key, value) for key, value in records.items())
    block = bytearray(512)
    block[0:100] = (b"PaxHeaders/" + name.rstrip(b"/").rpartition(b"/")[2])[:100].ljust(100, b"\0")
    block[100:108] = b"0000644\0"
    block[108:116] = block[116:124] = b"0000000\0"
    block[124:136] = b"%011o\0" % len(body)
    block[136:148] = b"%011o\0" % 0
    block[156:157] = b"x"
    block[257:265] = b"ustar\x0000"
    return _sum(block) + body + bytes(-len(body) % 512)


def _pax_record(key: bytes, value: bytes) -> bytes:
    """`length key=value\\n`, where the length counts its own digits."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(rest) + len(str(length)) != length:
        length = len(rest) + len(str(length))
    return b"%d" % length + rest


def _changed(member: Member) -> ActionError:
    return ActionError("digest-mismatch", f"{member.path} changed while it was read")
