"""Device programs of cgroup v2: replaced on a live group, so that the new rules count and the old ones do not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackfile.kernel import bpf
from stackfile.runtime.cgroup.devices import device_program
from stackfile.runtime.cgroup.types import DeviceRule

pytestmark = pytest.mark.root
NULL, ZERO = DeviceRule("c", 1, 3, "rwm"), DeviceRule("c", 1, 5, "rwm")
TRY = """
import sys
open(sys.argv[1] + "/cgroup.procs", "w").write("0")
for name in ("null", "zero"):
    try:
        open(f"/dev/{name}").close()
        print(name)
    except PermissionError:
        pass
"""


@pytest.fixture
def group() -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if " - cgroup2 " in line:
            path = f"{line.split()[4]}/t-devices-{os.getpid()}"
            os.mkdir(path)
            try:
                yield path
            finally:
                os.rmdir(path)
            return
    pytest.skip("no cgroup v2 hierarchy is mounted")


def may_open(group: str) -> list[str]:
    done = subprocess.run([sys.executable, "-I", "-c", TRY, group], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_replaced_on_a_live_group(group: str) -> None:
    bpf.attach_device_program(group, device_program([NULL]))
    assert may_open(group) == ["null"]
    bpf.replace_device_program(group, device_program([ZERO]))
    assert may_open(group) == ["zero"]
    bpf.replace_device_program(group, device_program([NULL, ZERO]))
    assert may_open(group) == ["null", "zero"]
