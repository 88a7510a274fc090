"""cgroup v2 for real: limits, kill, freeze, devices and the whole of a stack on a kernel that has nothing else."""

from __future__ import annotations

import os

import pytest

from tests.qemu import machine

pytestmark = [pytest.mark.root, pytest.mark.alone, pytest.mark.timeout(260)]


def test_the_engine_on_cgroup_v2() -> None:
    if reason := machine.missing():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    said = machine.run(240)
    lines = [line.strip() for line in said.splitlines()]
    failed = [line for line in lines if line.startswith("FAIL")]
    assert not failed, said[-6000:]
    assert "VERDICT PASS" in lines, said[-6000:]
