"""Devices of the machine for containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackfile.errors import ActionError
from stackfile.model.stack import DeviceMapping
from stackfile.runtime import devices
from stackfile.runtime.cgroup import DeviceRule
from stackfile.runtime.cgroup.types import ALL_DEVICES, DEFAULT_DEVICES


def test_a_device_as_the_machine_has_it() -> None:
    nodes, rules = devices.resolve([DeviceMapping(source="/dev/null", target="/dev/hole", permissions="r")])
    assert [(node.path, node.kind, node.major, node.minor) for node in nodes] == [("/dev/hole", "c", 1, 3)]
    assert rules == (DeviceRule("c", 1, 3, "r"),)


def test_rules() -> None:
    own = DeviceRule("c", 1, 3, "r")
    made = devices.rules([own], ["b 8:* rwm", "a *:* m"], privileged=False)
    assert made == (
        *DEFAULT_DEVICES,
        own,
        DeviceRule("b", 8, -1, "rwm"),
        DeviceRule("b", -1, -1, "m"),
        DeviceRule("c", -1, -1, "m"),
    )
    assert devices.rules([own], [], privileged=True) == ALL_DEVICES


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("/dev/nothing", "/dev/x", "not-found"),
        ("/dev/null", "/etc/x", "bad-request"),
        ("FILE", "/dev/x", "bad-request"),
    ],
)
def test_mistakes(tmp_path: Path, source: str, target: str, reason: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ActionError) as caught:
        devices.resolve([DeviceMapping(source=source.replace("FILE", f"{tmp_path}/file"), target=target)])
    assert caught.value.reason == reason


@pytest.mark.parametrize("text", ["", "c 1:3", "c 1 rwm", "c x:3 r"])
def test_rules_that_are_none(text: str) -> None:
    with pytest.raises(ActionError) as caught:
        devices.rules([], [text], privileged=False)
    assert caught.value.reason == "bad-request"
