"""The mount API of Linux 5.2 and later (fsopen(2), fsmount(2), open_tree(2), move_mount(2), mount_setattr(2)).

Mounts are descriptors until they are attached, so the target can be resolved inside a root that is not trusted.
Every function raises KernelError, but for `mount_points`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

from stackfile.errors import KernelError
from stackfile.kernel.syscalls import call

ATTR_RDONLY = 0x1
ATTR_NOSUID = 0x2
ATTR_NODEV = 0x4
ATTR_NOEXEC = 0x8
ATTR_STRICTATIME = 0x20

MS_RDONLY = 0x1
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MNT_DETACH = 2

_FSOPEN_CLOEXEC = 1
_FSMOUNT_CLOEXEC = 1
_CONFIG_FLAG, _CONFIG_STRING, _CONFIG_CREATE = 0, 1, 6
_OPEN_TREE_CLONE = 1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_AT_FDCWD = -100
_MOVE_FROM_EMPTY_PATH = 0x4
_MOVE_TO_EMPTY_PATH = 0x40
_ATTR = struct.Struct("<QQQQ")


_RELEASE = tuple(int("".join(filter(str.isdigit, word))) for word in os.uname().release.split("-")[0].split(".")[:2])
"""Before 6.5 overlay takes unknown options as they come, and refuses them at the end, not saying which."""


class FileSystem:
    """A file system being configured: `with FileSystem("tmpfs") as fs: fs.set("size", "64m"); fd = fs.mount()`."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._fd = call("fsopen", kind.encode(), _FSOPEN_CLOEXEC, subject=kind)

    def __enter__(self) -> FileSystem:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def set(self, key: str, value: str) -> None:
        """A `key=value` option (at most 255 bytes)."""
        subject = f"{self._kind} {key}={value}"
        self._config(_CONFIG_STRING, key.encode(), os.fsencode(value), subject)

    def flag(self, key: str) -> None:
        """An option without a value."""
        self._config(_CONFIG_FLAG, key.encode(), None, f"{self._kind} {key}")

    def mount(self, attributes: int = 0) -> int:
        """Create it; a descriptor of the detached mount. In mount tables its source is the kind's name."""
        self.set("source", self._kind)
        self._config(_CONFIG_CREATE, None, None, self._kind)
        return call("fsmount", self._fd, _FSMOUNT_CLOEXEC, attributes, subject=self._kind)

    def _config(self, command: int, key: bytes | None, value: bytes | None, subject: str) -> None:
        try:
            call("fsconfig", self._fd, command, key, value, 0, subject=subject)
        except KernelError as error:
            said = self._said()
            if not said:
                raise
            raise KernelError(error.errno, "fsconfig", f"{subject} ({said})") from error

    def _said(self) -> str:
        """The kernel's own words about the failure, one message a read (fsopen(2))."""
        words: list[str] = []
        os.set_blocking(self._fd, False)
        try:
            while len(words) < 8:
                words.append(os.read(self._fd, 4096).decode(errors="replace").strip())
        except OSError:
            pass
        return "; ".join(words)


def attach(mount: int, target: int, subject: str = "") -> None:
    """Put a detached mount on the file or directory that the descriptor `target` (O_PATH) names."""
    flags = _MOVE_FROM_EMPTY_PATH | _MOVE_TO_EMPTY_PATH
    call("move_mount", mount, b"", target, b"", flags, subject=subject)


def attach_at(mount: int, path: str, directory: int = _AT_FDCWD) -> None:
    """Put a detached mount on a trusted path (relative to the descriptor `directory`)."""
    call("move_mount", mount, b"", directory, os.fsencode(path), _MOVE_FROM_EMPTY_PATH, subject=path)


def clone_tree(path: str, *, recursive: bool, directory: int = _AT_FDCWD) -> int:
    """A detached bind mount of `path` (relative to the descriptor `directory`; "" is the descriptor itself)."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC
    flags |= _AT_RECURSIVE if recursive else 0
    flags |= 0 if path else _AT_EMPTY_PATH
    return call("open_tree", directory, os.fsencode(path), flags, subject=path or f"fd {directory}")


def set_attributes(
    mount: int, *, add: int = 0, clear: int = 0, propagation: int = 0, recursive: bool = False, subject: str = ""
) -> None:
    """Change attributes or propagation of a mount by descriptor."""
    row = _ATTR.pack(add, clear, propagation, 0)
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    call("mount_setattr", mount, b"", flags, row, _ATTR.size, subject=subject)


def set_propagation(path: str, flags: int) -> None:
    """mount(2) with MS_PRIVATE, MS_SLAVE or MS_SHARED, and MS_REC."""
    call("mount", None, os.fsencode(path), None, flags, None, subject=path)


def unmount(path: str, flags: int = MNT_DETACH) -> None:
    """umount2(2)."""
    call("umount2", os.fsencode(path), flags, subject=path)


def pivot_root(new: str, old: str) -> None:
    """pivot_root(2)."""
    call("pivot_root", os.fsencode(new), os.fsencode(old), subject=new)


def overlay(lower: Sequence[str], upper: str, work: str, target: str) -> None:
    """Mount an overlay (lower directories topmost first) at the trusted path `target`.

    `lowerdir+` takes any number of layers from Linux 6.7 on; before, mount(2) with its page of options.
    """
    if _RELEASE < (6, 5):
        return _overlay_by_mount(lower, upper, work, target)
    try:
        with FileSystem("overlay") as fs:
            for layer in lower:
                fs.set("lowerdir+", layer)
            fs.set("upperdir", upper)
            fs.set("workdir", work)
            for option in ("redirect_dir", "metacopy", "index"):
                fs.set(option, "off")
            mount = fs.mount()
    except KernelError as error:
        if "lowerdir+" not in str(error):
            raise
        return _overlay_by_mount(lower, upper, work, target)
    try:
        attach_at(mount, target)
    finally:
        os.close(mount)
    return None


def _overlay_by_mount(lower: Sequence[str], upper: str, work: str, target: str) -> None:
    """Paths relative to the layers' common directory keep many layers below the page that mount(2) takes."""
    common = os.path.commonpath(lower) if len(lower) > 1 else os.path.dirname(lower[0])
    layers = ":".join(_escape(os.path.relpath(path, common)) for path in lower)
    off = "redirect_dir=off,metacopy=off,index=off"
    options = f"lowerdir={layers},upperdir={_escape(upper)},workdir={_escape(work)},{off}"
    present = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir(common)
        call("mount", b"overlay", os.fsencode(target), b"overlay", 0, os.fsencode(options), subject=target)
    finally:
        os.fchdir(present)
        os.close(present)


def _escape(path: str) -> str:
    """Colons part layers and commas part options."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def mount_points() -> list[str]:
    """Where something is mounted, in the order of mounting (proc_pid_mountinfo(5))."""
    with open("/proc/self/mountinfo", "rb") as file:
        rows = [line.split()[4] for line in file]
    return [row.decode("unicode_escape").encode("latin-1").decode(errors="surrogateescape") for row in rows]
