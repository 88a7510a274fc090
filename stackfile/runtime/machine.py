"""Facts of the machine that decide how a container is made. Read once; passed to `compile` as data."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass, field

from stackfile.kernel import capabilities
from stackfile.kernel.syscalls import MACHINE


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    architecture: str = "x86_64"
    """As uname(2) says it."""
    hard_limits: dict[int, int] = field(default_factory=dict)
    """resource number → hard limit that cannot be raised (-1 unlimited); empty where we may raise limits."""
    capabilities: int = (1 << 41) - 1
    """What this process may hand on."""
    apparmor: str = ""
    """Profile for containers; empty where AppArmor is off or the profile is not loaded."""
    devices: tuple[tuple[str, str, int, int, int], ...] = ()
    """Device nodes of the host (path, kind, major, minor, mode), for privileged containers."""


_LIMITS = range(resource.RLIM_NLIMITS if hasattr(resource, "RLIM_NLIMITS") else 16)
_SYS_RESOURCE = capabilities.BITS["SYS_RESOURCE"]
_HIDDEN = ("/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/fd", "/dev/console", "/dev/ptmx", "/dev/.lxc")


def observe() -> Machine:
    """This machine, as this process (the daemon, with the same rights as the shim) sees it."""
    permitted = capabilities.permitted()
    limits = {} if permitted & _SYS_RESOURCE else {number: resource.getrlimit(number)[1] for number in _LIMITS}
    return Machine(
        architecture=MACHINE,
        hard_limits=limits,
        capabilities=permitted,
        apparmor=_apparmor(),
        devices=tuple(_devices("/dev")),
    )


def _apparmor(profile: str = "docker-default") -> str:
    try:
        with open("/sys/kernel/security/apparmor/profiles") as file:
            return profile if any(line.startswith(f"{profile} ") for line in file) else ""
    except OSError:
        return ""


def _devices(directory: str) -> list[tuple[str, str, int, int, int]]:
    import stat

    found = []
    for folder, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if f"{folder}/{name}" not in _HIDDEN]
        for name in names:
            path = f"{folder}/{name}"
            status = os.lstat(path)
            if path in _HIDDEN or not (stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)):
                continue
            kind = "c" if stat.S_ISCHR(status.st_mode) else "b"
            numbers = (os.major(status.st_rdev), os.minor(status.st_rdev))
            found.append((path, kind, *numbers, stat.S_IMODE(status.st_mode)))
    return found
