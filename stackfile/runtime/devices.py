"""Devices of the machine that a container is given: their nodes, and what it may do with them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence

from stackfile.errors import ActionError
from stackfile.model.stack import DeviceMapping
from stackfile.runtime.cgroup import DeviceRule
from stackfile.runtime.cgroup.types import ALL_DEVICES, DEFAULT_DEVICES
from stackfile.runtime.instructions import Device

_DEV = "/dev/"


def resolve(mappings: Sequence[DeviceMapping]) -> tuple[tuple[Device, ...], tuple[DeviceRule, ...]]:
    """(nodes, rules) of devices as this machine has them; a directory stands for the devices in it.

    Raises ActionError (`not-found`, `bad-request`).
    """
    devices: list[Device] = []
    rules: list[DeviceRule] = []
    for mapping in mappings:
        if not f"{mapping.target}/".startswith(_DEV):
            raise ActionError("bad-request", f"device {mapping.target}: devices lie below /dev")
        for source, target in _found(mapping.source, mapping.target):
            device = _device(source, target)
            devices.append(device)
            rules.append(DeviceRule(device.kind, device.major, device.minor, mapping.permissions))
    return tuple(devices), tuple(rules)


def rules(given: Sequence[DeviceRule], written: Sequence[str], *, privileged: bool) -> tuple[DeviceRule, ...]:
    """All rules of a container: the defaults, those of its devices, and those `written` as `c 1:3 rwm`."""
    if privileged:
        return ALL_DEVICES
    return (*DEFAULT_DEVICES, *given, *(rule for text in written for rule in _rules(text)))


def _found(source: str, target: str) -> Iterator[tuple[str, str]]:
    if not os.path.isdir(source):
        yield source, target
        return
    for folder, _, names in os.walk(source):
        for name in sorted(names):
            path = f"{folder}/{name}"
            mode = os.lstat(path).st_mode
            if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                yield path, target + path.removeprefix(source)


def _device(source: str, target: str) -> Device:
    try:
        found = os.stat(source)
    except OSError as error:
        cause = error.strerror or str(error)
        raise ActionError("not-found", f"no device {source} on this machine", cause=cause) from error
    if not (stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)):
        raise ActionError("bad-request", f"{source} is no device")
    return Device(
        path=target,
        kind="c" if stat.S_ISCHR(found.st_mode) else "b",
        major=os.major(found.st_rdev),
        minor=os.minor(found.st_rdev),
        mode=stat.S_IMODE(found.st_mode),
        uid=found.st_uid,
        gid=found.st_gid,
    )


def _rules(text: str) -> tuple[DeviceRule, ...]:
    """A rule as the `devices.allow` of cgroup v1 writes it; type `a` is both. ActionError (`bad-request`)."""
    try:
        kind, numbers, access = text.split()
        major, minor = (-1 if number == "*" else int(number) for number in numbers.split(":"))
    except ValueError as error:
        raise ActionError("bad-request", f"not a device rule: {text!r}", hint="such as `c 1:3 rwm`") from error
    # The kernel takes an `a` for everything, whatever numbers and access it has.
    return tuple(DeviceRule(each, major, minor, access) for each in ("bc" if kind == "a" else kind))
