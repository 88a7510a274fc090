"""Giving up rights: limits, capabilities, seccomp, ids. After `drop` only execve is left to do."""

from __future__ import annotations

import os
import resource

from stackfile.kernel import capabilities
from stackfile.kernel.syscalls import PR_SET_NO_NEW_PRIVS, install_seccomp, prctl
from stackfile.runtime.child.report import Channel
from stackfile.runtime.instructions import Process

LAST_CAPABILITY = capabilities.last()


def prepare(process: Process, channel: Channel) -> None:
    """What needs the host's /proc or rights that are about to go: limits, OOM score, AppArmor profile."""
    with channel.step("set resource limits"):
        for limit in process.rlimits:
            resource.setrlimit(limit.resource, (limit.soft, limit.hard))
    with channel.step("set the OOM score"):
        try:
            _write("/proc/self/oom_score_adj", str(process.oom_score_adj))
        except PermissionError:
            pass  # lowering needs CAP_SYS_RESOURCE; a container without it still runs, only less favoured
    if process.security.apparmor:
        with channel.step(f"set AppArmor profile {process.security.apparmor}"):
            path = "/proc/self/attr/apparmor/exec"
            _write(path if os.path.exists(path) else "/proc/self/attr/exec", f"exec {process.security.apparmor}")


def drop(process: Process, channel: Channel) -> None:
    """Become the account with its capabilities, behind the seccomp filter.

    The filter comes before the ids, since installing it needs CAP_SYS_ADMIN where no_new_privs is off; every call
    made afterwards is one that the profile allows.
    """
    security, account = process.security, process.account
    with channel.step("limit capabilities"):
        capabilities.limit_bounding(security.capabilities, LAST_CAPABILITY)
    if security.no_new_privileges:
        with channel.step("set no_new_privs"):
            prctl(PR_SET_NO_NEW_PRIVS, 1)
    if security.seccomp:
        with channel.step("install the seccomp filter"):
            install_seccomp(security.seccomp)
    with channel.step(f"become {account.uid}:{account.gid}"):
        os.setgroups(account.groups)
        os.setresgid(account.gid, account.gid, account.gid)
        os.setresuid(account.uid, account.uid, account.uid)
    with channel.step("set capabilities"):
        if account.uid == 0:
            ambient = security.ambient
            capabilities.set_all(security.capabilities, security.capabilities, ambient)
            if ambient:
                capabilities.set_ambient(ambient)


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
