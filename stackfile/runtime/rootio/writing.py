"""A tar unpacked into a directory of a container."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from typing import IO

from stackfile.errors import ActionError, NotFoundError
from stackfile.runtime.rootio.protocol import Request
from stackfile.runtime.rootio.root import open_inside

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_XATTR = "SCHILY.xattr."
_CHUNK = 1 << 20


def read_tar(root: int, request: Request, source: IO[bytes]) -> None:
    """Unpack `source` (plain or compressed) below the directory `request.path`.

    NotFoundError without that directory; ActionError: `bad-archive`, `unsafe-path`, `bad-request`.
    """
    base = "/" + os.path.normpath(f"/{request.path}").lstrip("/")
    directory = open_inside(root, base)
    if not stat.S_ISDIR(os.fstat(directory).st_mode):
        raise ActionError("bad-request", f"extraction point is not a directory: {request.path}")
    os.close(directory)
    times: list[tuple[str, int]] = []
    try:
        with tarfile.open(fileobj=source, mode="r|*", errorlevel=2) as archive:
            for member in archive:
                _place(root, base, member, archive, request)
                if member.isdir():
                    times.append((_inside(base, member.name), int(member.mtime)))
    except tarfile.TarError as error:
        raise ActionError("bad-archive", "the archive cannot be read", cause=str(error)) from error
    for path, seconds in reversed(times):
        _set_time(root, path, seconds)


def _inside(base: str, name: str) -> str:
    clean = os.path.normpath(name.lstrip("/"))
    if clean == ".." or clean.startswith("../"):
        raise ActionError("unsafe-path", f"the archive names {name}, which is outside")
    return base if clean == "." else os.path.join(base, clean)


def _place(root: int, base: str, member: tarfile.TarInfo, archive: tarfile.TarFile, request: Request) -> None:
    path = _inside(base, member.name)
    if path == base:
        return
    parent = _directory(root, os.path.dirname(path))
    try:
        name = os.path.basename(path)
        _make_room(parent, name, member, request.keep_types, path)
        _make(root, base, parent, name, member, archive)
        _finish(parent, name, member, request.owner)
    finally:
        os.close(parent)


def _directory(root: int, path: str) -> int:
    """A descriptor of a directory, made with its parents where it is not there."""
    try:
        return open_inside(root, path)
    except NotFoundError:
        above, name = os.path.split(path)
        parent = _directory(root, above)
        try:
            os.mkdir(name, 0o755, dir_fd=parent)
        finally:
            os.close(parent)
        return open_inside(root, path)


def _make_room(parent: int, name: str, member: tarfile.TarInfo, keep_types: bool, path: str) -> None:
    try:
        there = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return
    is_directory = stat.S_ISDIR(there.st_mode)
    if keep_types and is_directory != member.isdir():
        raise ActionError(
            "bad-request", f"{path}: cannot overwrite a directory with a file, nor a file with a directory"
        )
    if is_directory and member.isdir():
        return
    if is_directory:
        shutil.rmtree(name, dir_fd=parent)
    else:
        os.unlink(name, dir_fd=parent)


def _make(root: int, base: str, parent: int, name: str, member: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
    if member.isdir():
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            return
    elif member.issym():
        os.symlink(member.linkname, name, dir_fd=parent)
    elif member.islnk():
        _link(root, _inside(base, member.linkname), parent, name)
    elif member.isfile():
        content = archive.extractfile(member)
        assert content is not None
        with open(os.open(name, _NEW, 0o600, dir_fd=parent), "wb") as file:
            shutil.copyfileobj(content, file, _CHUNK)
    elif member.isfifo():
        os.mkfifo(name, 0o600, dir_fd=parent)
    elif member.ischr() or member.isblk():
        kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
        os.mknod(name, 0o600 | kind, os.makedev(member.devmajor, member.devminor), dir_fd=parent)
    else:
        raise ActionError("bad-archive", f"the archive has a member of an unknown type: {member.name}")


def _link(root: int, target: str, parent: int, name: str) -> None:
    found = open_inside(root, target, os.O_PATH | os.O_NOFOLLOW)
    try:
        os.link(f"/proc/self/fd/{found}", name, dst_dir_fd=parent, follow_symlinks=True)
    finally:
        os.close(found)


def _finish(parent: int, name: str, member: tarfile.TarInfo, owner: tuple[int, int] | None) -> None:
    """Owner first: changing it takes set-user-id away. A hard link has its owner already.

    By a descriptor, which no link that takes the file's place can lead astray.
    """
    if member.islnk():
        return
    found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        uid, gid = owner or (member.uid, member.gid)
        path = f"/proc/self/fd/{found}"
        if member.issym():
            os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)
            return
        os.chown(path, uid, gid)
        os.chmod(path, stat.S_IMODE(member.mode))
        for key, value in member.pax_headers.items():
            if key.startswith(_XATTR):
                os.setxattr(path, key.removeprefix(_XATTR), value.encode(errors="surrogateescape"))
        os.utime(path, (int(member.mtime), int(member.mtime)))
    finally:
        os.close(found)


def _set_time(root: int, path: str, seconds: int) -> None:
    """Of a directory, after its content."""
    found = open_inside(root, path, os.O_PATH | os.O_NOFOLLOW)
    try:
        os.utime(f"/proc/self/fd/{found}", (seconds, seconds))
    finally:
        os.close(found)
