"""Files of this machine, and the stats by which a later look sees that nothing changed.

A path is walked name by name: links on the way (such as /bin → usr/bin) are taken along as links.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stackfile.errors import ActionError
from stackfile.images.view import absolute

Signature = tuple[int, ...]
"""Numbers that change when a file does; empty for a file that is absent."""

_MAXIMUM_LINKS = 40
_RACY_NS = 50_000_000
"""A file changed this shortly before it was read may change again within one tick of the file system's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFile:
    """A file for the image, by its absolute path here and there. type: file, dir, symlink.

    `data` is its content where it is made by us; `interpreter` is the cache tag of a Python source's interpreter.
    `extra` ones give way to what the image has already.
    """

    path: str
    type: str
    mode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    digest: str = ""
    target: str = ""
    data: str = ""
    capability: str = ""
    """Hex of the security.capability attribute."""
    interpreter: str = ""
    extra: bool = False


def look(path: str, *, listed: bool = False) -> Signature:
    """The present signature of a path; of a directory only its rights, unless its list of names matters."""
    try:
        return signature(os.lstat(path), listed=listed)
    except (FileNotFoundError, NotADirectoryError):
        return ()


def signature(status: os.stat_result, *, listed: bool = False) -> Signature:
    """The signature of a stat result."""
    if stat.S_ISDIR(status.st_mode) and not listed:
        return (status.st_mode, status.st_uid, status.st_gid)
    return (status.st_mode, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def changed(watched: Mapping[str, Signature]) -> bool:
    """Whether any watched path is not as it was."""
    lstat = os.lstat
    for path, known in watched.items():
        try:
            status = lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            if known:
                return True
            continue
        if len(known) == 6:
            if (
                status.st_ctime_ns != known[5]
                or status.st_mtime_ns != known[4]
                or status.st_size != known[3]
                or status.st_ino != known[2]
                or status.st_dev != known[1]
                or status.st_mode != known[0]
            ):
                return True
        elif known != (status.st_mode, status.st_uid, status.st_gid):
            return True
    return False


@dataclass(slots=True)
class Collector:
    """Gathers files of this machine. `hashed` are digests known from before, by path and signature."""

    hashed: Mapping[str, tuple[Signature, str]] = field(default_factory=dict)
    files: dict[str, HostFile] = field(default_factory=dict)
    watched: dict[str, Signature] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    """Paths asked for → where their links lead."""
    _directories: dict[str, str] = field(default_factory=dict)
    _now: int = field(default_factory=time.time_ns)

    def bring(self, path: str, *, owner: bool = False, interpreter: str = "") -> str:
        """Take one file (or an empty directory) and the links that lead to it; returns its real path.

        With `owner` it keeps its owner, else it is root's. FileNotFoundError, NotADirectoryError where it is absent.
        """
        return self._reach(absolute(path), 0, owner, interpreter)

    def bring_directory(self, path: str) -> None:
        """Take a directory with its owner and mode, without what is in it."""
        real = self.bring(path)
        status = os.lstat(real)
        self.files[real] = HostFile(
            path=real, type="dir", mode=stat.S_IMODE(status.st_mode), uid=status.st_uid, gid=status.st_gid
        )

    def bring_tree(self, path: str) -> None:
        """Take a directory with everything in it as it is, or a file."""
        real = self.bring(path, owner=True)
        status = os.lstat(real)
        if not stat.S_ISDIR(status.st_mode):
            return
        self.files[real] = HostFile(
            path=real, type="dir", mode=stat.S_IMODE(status.st_mode), uid=status.st_uid, gid=status.st_gid
        )
        for entry in self.list(real):
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                self.bring_tree(entry.path)
            elif stat.S_ISREG(mode):
                self.bring(entry.path, owner=True)
            elif stat.S_ISLNK(mode):
                self.link(entry.path)

    def link(self, path: str) -> None:
        """Take a symbolic link alone, whether it leads anywhere or not."""
        self.watched[path] = signature(os.lstat(path))
        self.files[path] = HostFile(path=path, type="symlink", mode=0o777, target=os.readlink(path))

    def list(self, directory: str) -> Sequence[os.DirEntry[str]]:
        """Entries of a directory, sorted; its list of names is watched from now on."""
        self.watched[directory] = self._stable(signature(os.lstat(directory), listed=True))
        with os.scandir(directory) as entries:
            return sorted(entries, key=lambda entry: entry.name)

    def absent(self, path: str) -> bool:
        """Whether there is no such path; watched, since its appearance would matter."""
        seen = look(path)
        if not seen:
            self.watched[path] = ()
        return not seen

    def _reach(self, path: str, links: int, owner: bool, interpreter: str) -> str:
        if links > _MAXIMUM_LINKS:
            raise ActionError("action-failed", f"{path}: too many levels of symbolic links")
        parent, _, name = path.rpartition("/")
        real_parent = self._directory(parent, links) if parent else ""
        here = f"{real_parent}/{name}"
        status = os.lstat(here)
        real = here
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(here)
            self.link(here)
            real = self._reach(absolute(os.path.join(real_parent or "/", target)), links + 1, owner, interpreter)
        elif stat.S_ISDIR(status.st_mode):
            self._take_directory(here, status)
        elif stat.S_ISREG(status.st_mode):
            self._take_file(here, status, owner, interpreter)
        else:
            raise ActionError("action-failed", f"{here} is neither a file nor a directory")
        if real != path:
            self.aliases[path] = real
        return real

    def _directory(self, path: str, links: int) -> str:
        """The real path of a directory on the way."""
        known = self._directories.get(path)
        if known is None:
            known = self._directories[path] = self._reach(path, links, False, "")
        return known

    def _take_directory(self, path: str, status: os.stat_result) -> None:
        self.watched.setdefault(path, signature(status))
        # Only a way to something else: it must be passable for every user of the image.
        self.files.setdefault(path, HostFile(path=path, type="dir", mode=0o755))

    def _take_file(self, path: str, status: os.stat_result, owner: bool, interpreter: str) -> None:
        if path in self.files:
            return
        seen = signature(status)
        known = self.hashed.get(path)
        digest = known[1] if known and known[0] == seen else self._hash(path, seen)
        self.watched[path] = self._stable(seen)
        self.files[path] = HostFile(
            path=path,
            type="file",
            mode=stat.S_IMODE(status.st_mode),
            uid=status.st_uid if owner else 0,
            gid=status.st_gid if owner else 0,
            size=status.st_size,
            digest=digest,
            capability=_capability(path) if status.st_mode & 0o111 else "",
            interpreter=interpreter,
        )

    def _hash(self, path: str, seen: Signature) -> str:
        with open(path, "rb", buffering=0) as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            if signature(os.fstat(file.fileno())) != seen:
                raise ActionError("action-failed", f"{path} changed while it was read", hint="try again")
        return f"sha256:{found}"

    def _stable(self, seen: Signature) -> Signature:
        """A signature that never matches again where the file changed too shortly before to be trusted."""
        if seen and max(seen[4:6], default=0) > self._now - _RACY_NS:
            return (*seen[:5], 0)
        return seen


def _capability(path: str) -> str:
    try:
        return os.getxattr(path, "security.capability").hex()
    except OSError:
        return ""
