"""The kernel: its version, namespaces, system calls, file systems, and the clock."""

from __future__ import annotations

import errno
import os
import platform
import sys
import time
from collections.abc import Iterator

from stackfile.engines.embedded.checks.row import MISSING, OK, WARNING, Row, judged, read
from stackfile.errors import KernelError, StackfileError
from stackfile.kernel import process, syscalls
from stackfile.settings import Settings

_OLDEST = (5, 12)
"""The first kernel with everything that is used here (mount_setattr came last)."""
_NAMESPACES = {"mnt": "MNT", "pid": "PID", "net": "NET", "ipc": "IPC", "uts": "UTS", "cgroup": "CGROUP"}
_CALLS = {
    "mount API": ("fsopen", "fsconfig", "fsmount", "move_mount", "open_tree", "mount_setattr"),
    "pidfds": ("pidfd_open", "pidfd_getfd"),
    "clone3": ("clone3",),
    "openat2": ("openat2", "close_range"),
}
_FILE_SYSTEMS = ("proc", "sysfs", "tmpfs", "devpts", "mqueue")
_YEAR = 365.25 * 86400


def rows(_: Settings) -> Iterator[Row]:
    yield ("python", OK, f"{platform.python_version()} at {sys.executable}", "")
    yield _release()
    known = platform.machine() in ("x86_64", "aarch64")
    yield judged("architecture", known, platform.machine(), "use x86_64 or aarch64", bad=MISSING)
    yield _namespaces()
    for name, calls in _CALLS.items():
        yield _system_calls(name, calls)
    present = {line.split()[-1] for line in read("/proc/filesystems").splitlines() if line}
    lacking = [name for name in _FILE_SYSTEMS if name not in present]
    found = f"without {', '.join(lacking)}" if lacking else ", ".join(_FILE_SYSTEMS)
    yield judged("file systems", not lacking, found, f"load the modules: modprobe {' '.join(lacking)}", bad=MISSING)
    yield _settings()
    yield _clock()


def _release() -> Row:
    release = platform.release()
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    mend = f"Linux {_OLDEST[0]}.{_OLDEST[1]} or newer is needed"
    return judged("kernel", numbers >= _OLDEST, release, mend, bad=MISSING)


def _namespaces() -> Row:
    missing = [name for name in _NAMESPACES if not os.path.exists(f"/proc/self/ns/{name}")]
    if missing:
        return ("namespaces", MISSING, f"without {', '.join(missing)}", "use a kernel with CONFIG_NAMESPACES")
    closed = [name for name in _NAMESPACES if read(f"/proc/sys/user/max_{name}_namespaces") == "0"]
    if closed:
        mend = "; ".join(f"sysctl -w user.max_{name}_namespaces=10000" for name in closed)
        return ("namespaces", MISSING, f"none of {', '.join(closed)} may be made", mend)
    return ("namespaces", OK, ", ".join(_NAMESPACES), "")


def _system_calls(name: str, calls: tuple[str, ...]) -> Row:
    """Each is made with arguments that no kernel takes: the error tells whether there is one, and for us."""
    refused = {call: error for call in calls if (error := _probe(call))}
    if errno.ENOSYS in refused.values():
        lacking = [call for call, error in refused.items() if error == errno.ENOSYS]
        mend = f"use Linux {_OLDEST[0]}.{_OLDEST[1]} or newer, or lift the filter that hides it"
        return (name, MISSING, f"without {', '.join(lacking)}", mend)
    if refused:
        status = MISSING if os.geteuid() == 0 else WARNING
        mend = (
            "lift the filter (of the container that we are in, or of a security module)"
            if status == MISSING
            else "look again as root"
        )
        return (name, status, f"not permitted: {', '.join(refused)}", mend)
    return (name, OK, ", ".join(calls), "")


def _probe(name: str) -> int:
    """The error number of a system call that is missing or forbidden, 0 where it works."""
    try:
        if name == "pidfd_open":
            os.close(process.pidfd_open(os.getpid()))
        else:
            # Descriptors and pointers that cannot be; what changes something when it succeeds cannot succeed so.
            syscalls.call(name, *_IMPOSSIBLE.get(name, (-1, None, 0, 0, 0)))
    except KernelError as error:
        return error.errno if error.errno in (errno.ENOSYS, errno.EPERM) else 0
    except StackfileError:
        return errno.ENOSYS
    return 0


_IMPOSSIBLE: dict[str, tuple[int | bytes | None, ...]] = {
    "fsopen": (b"no such file system", 0),
    "fsconfig": (-1, 0, None, None, 0),
    "fsmount": (-1, 0, 0),
    "move_mount": (-1, b"", -1, b"", 0),
    "open_tree": (-1, b"", 0),
    "mount_setattr": (-1, b"", 0, None, 0),
    "pidfd_getfd": (-1, -1, 0),
    "clone3": (None, 0),
    "openat2": (-1, b"", None, 0),
    "close_range": (2, 1, 0),
}


def _settings() -> Row:
    """The engine writes settings of networks and containers below /proc/sys."""
    path = "/proc/sys/net/ipv4/ip_forward"
    if os.geteuid() != 0:
        return ("/proc/sys", OK, "is written as root", "")
    good = _writable(path)
    mend = "mount -o remount,rw /proc/sys (a container that holds the engine must be privileged)"
    return judged("/proc/sys", good, f"{path} can{'' if good else 'not'} be written", mend, bad=MISSING)


def _writable(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _clock() -> Row:
    """A clock before our own files were made is wrong: certificates of registries are not valid then."""
    made = os.stat(__file__).st_mtime
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    good = made - 86400 <= time.time() <= made + 20 * _YEAR
    return judged("clock", good, shown, "set it: timedatectl set-ntp true")
