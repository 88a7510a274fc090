"""Who we are: user, capabilities, user namespace, and what else restrains us and our containers."""

from __future__ import annotations

import os
from collections.abc import Iterator

from stackfile.engines.embedded.checks.row import MISSING, OK, Row, judged, read
from stackfile.kernel import capabilities
from stackfile.settings import Settings

_NEEDED = (
    "CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "MKNOD", "NET_ADMIN", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP",
    "SETUID", "SYS_ADMIN", "SYS_CHROOT", "SYS_PTRACE",
)  # fmt: skip
_WHOLE = "4294967295"


def rows(_: Settings) -> Iterator[Row]:
    yield judged(
        "root", os.geteuid() == 0, f"uid {os.geteuid()}", "run the engine as root: sudo stackfile …", bad=MISSING
    )
    held = capabilities.permitted()
    lacking = [name for name in _NEEDED if not held & capabilities.BITS[name]]
    found = f"without {', '.join(lacking)}" if lacking else "all that are needed"
    mend = "start it with these capabilities, not from a container that dropped them"
    yield judged("capabilities", not lacking, found, mend, bad=MISSING)
    whole = read("/proc/self/uid_map").split()[-1:] == [_WHOLE]
    yield judged(
        "users",
        whole,
        "all ids of the machine" if whole else "in a user namespace",
        "run in the machine's own user namespace",
    )
    yield _filter()
    yield _apparmor()
    yield _selinux()


def _filter() -> Row:
    """Whether we are filtered ourselves, as in a container (proc_pid_status(5), Seccomp)."""
    status = dict(line.partition(":")[::2] for line in read("/proc/thread-self/status").splitlines())
    if "Seccomp" not in status:
        return ("seccomp", MISSING, "this kernel has none", "use a kernel with CONFIG_SECCOMP_FILTER")
    if "errno" not in read("/proc/sys/kernel/seccomp/actions_avail").split():
        return ("seccomp", MISSING, "no filters that return errors", "use a kernel with CONFIG_SECCOMP_FILTER")
    filtered = status["Seccomp"].strip() == "2"
    found = "containers are filtered; so are we, by somebody else" if filtered else "containers are filtered"
    return ("seccomp", OK, found, "")


def _apparmor() -> Row:
    if read("/sys/module/apparmor/parameters/enabled") != "Y":
        return ("AppArmor", OK, "not in use", "")
    loaded = any(
        line.startswith("docker-default ") for line in read("/sys/kernel/security/apparmor/profiles").splitlines()
    )
    found = "containers run under docker-default" if loaded else "on, but without the profile docker-default"
    return judged("AppArmor", loaded, found, "load docker-default (dockerd does), else containers run unconfined")


def _selinux() -> Row:
    mode = read("/sys/fs/selinux/enforce")
    if not mode:
        return ("SELinux", OK, "not in use", "")
    found = "enforcing" if mode == "1" else "permissive"
    return judged("SELinux", mode == "0", found, "install container-selinux; bind mounts need :z or :Z")
