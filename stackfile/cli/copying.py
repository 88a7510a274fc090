"""Copies between the caller's files and a container's: what `cp` and `container cp` have in common.

Files cross as tars (Docker Engine API, "Get an archive"). Names decide as with docker cp: a target that is a directory
takes the source under its name, `SOURCE/.` its content, another target is the source's new name.
"""

from __future__ import annotations

import io
import os
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from typing import IO, Any

from stackfile.cli.context import Context
from stackfile.errors import ActionError, NotFoundError, StackfileError, UsageError

_CHUNK = 1 << 18
_DIRECTORY = 1 << 31
_LINK = 1 << 27


def split(text: str) -> tuple[str, str]:
    """(container, path) of `NAME:PATH`; no container for a path of ours: absolute, or with a slash before the colon."""
    name, colon, path = text.partition(":")
    if not colon or not name or "/" in name or text.startswith((".", "/")):
        return "", text
    return name, path


def copy_out(context: Context, container: str, path: str, target: str, *, follow: bool, archive: bool) -> None:
    """From a container; `-` as target writes the tar to stdout. Raises NotFoundError, UsageError."""
    client = context.client()
    stat = client.path_stat(container, path)
    if follow and stat["mode"] & _LINK:
        path = stat["linkTarget"]
        stat = client.path_stat(container, path)
    if target == "-":
        for chunk in client.read_archive(container, path):
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        return
    target = os.path.join(context.directory, target)
    source = os.path.basename(os.path.normpath(path)) or "."
    content = path.endswith("/.") or path == "."
    name, directory = _placed(target, source, is_directory=bool(stat["mode"] & _DIRECTORY), content=content)
    top = "." if content or source in (".", "/") else source
    _unpack(client.read_archive(container, path), directory, top, name, keep_owner=archive)


def _placed(target: str, source: str, *, is_directory: bool, content: bool) -> tuple[str, str]:
    """(name that the source gets, directory that it goes into); an empty name puts its content there."""
    if os.path.isdir(target):
        return ("" if content else source), target
    if target.endswith("/") and not is_directory:
        raise UsageError("usage", f"no such directory: {target}")
    if os.path.exists(target) and is_directory:
        raise UsageError("usage", f"cannot copy a directory onto the file {target}")
    above, name = os.path.split(target.rstrip("/"))
    if not os.path.isdir(above or "."):
        raise UsageError("usage", f"no such directory: {above}")
    return name, above or "."


def _unpack(chunks: Iterator[bytes], directory: str, top: str, name: str, *, keep_owner: bool) -> None:
    """Unpack a tar whose names begin with `top`, which becomes `name`. Nothing lands outside `directory`."""
    try:
        with tarfile.open(fileobj=_Reader(chunks), mode="r|") as archive:
            # Python's own rules refuse links that lead elsewhere, which are what the container has.
            archive.extraction_filter = lambda member, _: member
            for member in archive:
                member.name = _renamed(member.name, top, name)
                if member.islnk():
                    member.linkname = _renamed(member.linkname, top, name)
                if not member.name:
                    continue
                if not keep_owner:
                    member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
                _check(member, directory)
                archive.extract(member, directory, numeric_owner=True)
    except (tarfile.TarError, OSError) as error:
        raise ActionError("action-failed", f"copy to {directory} failed", cause=str(error)) from error


def _renamed(path: str, top: str, name: str) -> str:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if top != "." and parts[:1] == [top]:
        parts = parts[1:]
    return "/".join([*([name] if name else []), *parts])


def _check(member: tarfile.TarInfo, directory: str) -> None:
    """Links may lead anywhere, as they do in the container; what is written may not. ActionError (`unsafe-path`)."""
    base = os.path.realpath(directory)
    place = os.path.realpath(os.path.join(base, os.path.dirname(member.name)))
    if ".." in member.name.split("/") or os.path.commonpath((base, place)) != base:
        raise ActionError("unsafe-path", f"the archive names {member.name}, which is outside of {directory}")


class _Reader(io.RawIOBase):
    """Chunks as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._rest) < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._rest += chunk
        size = len(self._rest) if size < 0 else size
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


def copy_in(context: Context, source: str, container: str, path: str, *, follow: bool, archive: bool) -> None:
    """Into a container; `-` as source reads a tar from stdin. Raises NotFoundError, UsageError."""
    client = context.client()
    if source == "-":
        client.write_archive(container, path, iter(lambda: sys.stdin.buffer.read(_CHUNK), b""), own=archive)
        return
    full = os.path.join(context.directory, source)
    if not os.path.lexists(full):
        raise UsageError("usage", f"no such file: {source}")
    content = source.endswith("/.") or source == "."
    is_directory = os.path.isdir(full) and (follow or not os.path.islink(full.rstrip("/")))
    name = os.path.basename(os.path.normpath(full))
    target, arcname = _target(client, container, path, name, is_directory=is_directory, content=content)
    with tempfile.TemporaryFile() as spool:
        _pack(spool, full, arcname, follow=follow)
        spool.seek(0)
        client.write_archive(container, target, iter(lambda: spool.read(_CHUNK), b""), own=archive)


def _target(client: Any, container: str, path: str, name: str, *, is_directory: bool, content: bool) -> tuple[str, str]:
    """(directory in the container, name in the tar)."""
    there = _stat(client, container, path)
    if there is not None and there["mode"] & _LINK:
        path = there["linkTarget"]
        there = _stat(client, container, path)
    if there is not None and there["mode"] & _DIRECTORY:
        return path, "." if content else name
    if path.endswith("/") and not is_directory:
        raise NotFoundError("directory", path)
    if there is not None and is_directory:
        raise UsageError("usage", f"cannot copy a directory onto the file {container}:{path}")
    above, last = os.path.split(path.rstrip("/") or "/")
    return above or "/", last


def _stat(client: Any, container: str, path: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = client.path_stat(container, path)
    except StackfileError as error:
        if error.reason != "not-found" or error.message.startswith("no such container"):
            raise
        return None
    return found


def _pack(out: IO[bytes], path: str, arcname: str, *, follow: bool) -> None:
    def owned(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    try:
        with tarfile.open(fileobj=out, mode="w", dereference=False, format=tarfile.PAX_FORMAT) as tar:
            real = os.path.realpath(path) if follow else path
            tar.add(real, arcname, filter=owned)
    except OSError as error:
        raise ActionError("action-failed", f"cannot read {path}", cause=str(error)) from error
