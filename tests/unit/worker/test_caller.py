"""Limits that are taken from another process, and who can be stood for."""

from __future__ import annotations

import dataclasses
import os
import resource
import subprocess
import sys

import pytest

from stackfile.worker.caller import Caller, Standing

LIMITS = """
import os, resource, subprocess, sys
from stackfile.worker.caller import take_limits
before = resource.getrlimit(resource.RLIMIT_NOFILE)
lower = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 50))
other = subprocess.Popen(["sleep", "20"], preexec_fn=lower)
take_limits(other.pid)
print(resource.getrlimit(resource.RLIMIT_NOFILE))
other.kill()
other.wait()
# Nothing is raised.
take_limits(os.getppid())
print(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
"""


def test_limits_are_lowered_only() -> None:
    done = subprocess.run([sys.executable, "-c", LIMITS], capture_output=True, text=True, check=True)
    assert done.stdout == "(40, 50)\n50\n"
    assert resource.getrlimit(resource.RLIMIT_NOFILE) != (40, 50)


def test_ourselves_can_be_stood_for() -> None:
    me = Caller(os.getpid(), os.geteuid(), os.getegid(), tuple(os.getgroups()))
    standing = Standing()
    assert standing.allows(me) is (os.geteuid() == 0 or not _capabilities())
    assert not standing.allows(dataclasses.replace(me, pid=0))
    assert not standing.allows(dataclasses.replace(me, pid=2**22 + 1))


@pytest.mark.skipif(os.geteuid() != 0, reason="capabilities are root's")
def test_a_caller_with_capabilities_of_its_own_is_refused() -> None:
    """It says uid 1000 and has root's capabilities: a change of uid would lose them."""
    assert not Standing().allows(Caller(os.getpid(), 1000, 1000, ()))


def _capabilities() -> bool:
    with open("/proc/self/status") as file:
        return any(line.startswith("CapEff:") and int(line.split()[1], 16) for line in file)
