"""Reads the members of a tar archive: ustar, pax and GNU long names. Everything is bounded by the archive's own size.

Sparse members are refused: nothing that makes layers writes them, and their sizes cannot be trusted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from stackfile.errors import ActionError

_BLOCK = 512
_LONGEST_HEADER = 1 << 20
_LONGEST_NAME = 4096
_SMALL = b"xgLK"
_SECOND = 1_000_000_000
_LATEST = 1 << 62


@dataclass(slots=True)
class Found:
    """A member as it stands in the archive. `kind` is the type byte; `start` is where its content begins."""

    name: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    link: bytes
    device: tuple[int, int]
    start: int
    xattrs: dict[bytes, bytes] = field(default_factory=dict)


def read(archive: memoryview) -> Iterator[Found]:
    """Members of an uncompressed archive, in its order. ActionError (`bad-archive`)."""
    offset = 0
    extra: dict[bytes, bytes] = {}
    while offset + _BLOCK <= len(archive):
        block = bytes(archive[offset : offset + _BLOCK])
        if not any(block):
            return
        _verify(block, offset)
        offset += _BLOCK
        kind = block[156:157]
        size = _number(block[124:136])
        if kind in _SMALL and kind != b"":
            _collect(extra, kind, _body(archive, offset, size))
            offset += _padded(size)
            continue
        found = _member(block, kind, size, offset, extra)
        extra = {}
        if offset + found.size > len(archive):
            raise _bad(f"member {found.name!r} is cut off")
        yield found
        offset += _padded(found.size)


def _member(block: bytes, kind: bytes, size: int, start: int, extra: dict[bytes, bytes]) -> Found:
    name = block[:100].split(b"\0", 1)[0]
    if block[257:263] == b"ustar\0" and block[345]:
        name = block[345:500].split(b"\0", 1)[0] + b"/" + name
    found = Found(
        name=extra.get(b"path", name),
        kind=b"0" if kind in (b"\0", b"7") else kind,
        mode=_number(block[100:108]) & 0o7777,
        uid=_decimal(extra, b"uid", _number(block[108:116])),
        gid=_decimal(extra, b"gid", _number(block[116:124])),
        size=_decimal(extra, b"size", size),
        mtime_ns=_time(extra.get(b"mtime"), _number(block[136:148])),
        link=extra.get(b"linkpath", block[157:257].split(b"\0", 1)[0]),
        device=(_number(block[329:337]), _number(block[337:345])),
        start=start,
        xattrs={key[13:]: value for key, value in extra.items() if key.startswith(b"SCHILY.xattr.")},
    )
    if found.kind == b"S" or any(key.startswith(b"GNU.sparse") for key in extra):
        raise _bad(f"member {found.name!r} is sparse")
    if max(len(found.name), len(found.link)) > _LONGEST_NAME or b"\0" in found.name + found.link:
        raise _bad("a name is too long or holds a zero byte")
    if found.kind != b"0":
        found.size = 0 if found.kind in b"123456" else found.size
    return found


def _collect(extra: dict[bytes, bytes], kind: bytes, body: bytes) -> None:
    if kind == b"x":
        extra.update(_pax(body))
    elif kind == b"L":
        extra[b"path"] = body.rstrip(b"\0")
    elif kind == b"K":
        extra[b"linkpath"] = body.rstrip(b"\0")
    # A global header ("g") says nothing that a layer needs (git puts its commit there).


def _pax(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    offset = 0
    while offset < len(body):
        space = body.find(b" ", offset)
        digits = body[offset:space] if space > offset else b""
        if not digits.isdigit() or len(digits) > 8:
            raise _bad("a pax record has no length")
        end = offset + int(digits)
        key, separator, value = body[space + 1 : end - 1].partition(b"=")
        if end > len(body) or end <= space + 1 or not separator or body[end - 1 : end] != b"\n":
            raise _bad("a pax record is malformed")
        yield key, value
        offset = end


def _body(archive: memoryview, offset: int, size: int) -> bytes:
    if size > _LONGEST_HEADER or offset + size > len(archive):
        raise _bad("a header is too long or cut off")
    return bytes(archive[offset : offset + size])


def _verify(block: bytes, offset: int) -> None:
    """The header's checksum: the sum of its bytes, the sum's own field taken as blanks."""
    if sum(block) - sum(block[148:156]) + 8 * 32 != _number(block[148:156]):
        raise _bad(f"the header at byte {offset} has a wrong checksum")


def _number(data: bytes) -> int:
    """An octal field, or GNU's base-256 when the first bit is set."""
    if data[0] & 0x80:
        value = int.from_bytes(bytes([data[0] & 0x7F]) + data[1:], "big")
        return 0 if data[0] & 0x40 or value > _LATEST else value
    text = data.strip(b"\0 ")
    try:
        return int(text, 8) if text else 0
    except ValueError as e:
        raise _bad("a number is malformed") from e


def _decimal(extra: dict[bytes, bytes], key: bytes, default: int) -> int:
    text = extra.get(key)
    if text is None:
        return default
    if not text.isdigit() or len(text) > 18:
        raise _bad(f"pax {key.decode()} is malformed")
    return int(text)


def _time(text: bytes | None, default: int) -> int:
    if text is None:
        return default * _SECOND
    whole, _, fraction = text.partition(b".")
    digits = whole.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > 11 or (fraction and not fraction.isdigit()):
        raise _bad("pax mtime is malformed")
    nanoseconds = int(fraction[:9].ljust(9, b"0")) if fraction else 0
    return int(whole) * _SECOND + nanoseconds


def _padded(size: int) -> int:
    return (size + _BLOCK - 1) & ~(_BLOCK - 1)


def _bad(cause: str) -> ActionError:
    return ActionError("bad-archive", "the archive is malformed", cause=cause)
