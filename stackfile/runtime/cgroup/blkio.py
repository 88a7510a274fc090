"""Limits of block devices: numbers of devices, and rows as the kernel's files take them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from stackfile.errors import ActionError
from stackfile.model.stack import BlkioLimit
from stackfile.runtime.cgroup.hierarchy import read_text

V1_FILES = tuple(f"blkio.throttle.{kind}_device" for kind in ("read_bps", "write_bps", "read_iops", "write_iops"))
_MAX = {"read_bps": "rbps", "write_bps": "wbps", "read_iops": "riops", "write_iops": "wiops"}


def number(path: str) -> str:
    """`major:minor` of a block device. ActionError (`not-found`, `bad-request`)."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise ActionError("not-found", f"no device {path}", cause=error.strerror or str(error)) from error
    if not stat.S_ISBLK(found.st_mode):
        raise ActionError("bad-request", f"{path} is no block device")
    return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"


def v1_rows(limits: Iterable[BlkioLimit]) -> list[tuple[str, str]]:
    """(file, row) of each limit in cgroup v1's blkio."""
    return [(_v1_file(limit.kind), f"{number(limit.path)} {limit.rate}") for limit in limits]


def _v1_file(kind: str) -> str:
    if kind == "weight":
        return "blkio.bfq.weight_device"
    return f"blkio.throttle.{kind}_device"


def v2_rows(limits: Iterable[BlkioLimit]) -> list[tuple[str, str]]:
    """(file, row) of each limit in cgroup v2's io."""
    rows: list[tuple[str, str]] = []
    for limit in limits:
        if limit.kind == "weight":
            rows.append(("io.bfq.weight", f"{number(limit.path)} {limit.rate}"))
        else:
            rows.append(("io.max", f"{number(limit.path)} {_MAX[limit.kind]}={limit.rate or 'max'}"))
    return rows


def lifted(path: str, files: Iterable[str], wanted: Iterable[tuple[str, str]], none: str) -> list[tuple[str, str]]:
    """(file, row) that takes away the limits in `files` of devices that `wanted` does not name there."""
    kept = {(file, row.split()[0]) for file, row in wanted}
    rows = []
    for file in files:
        for line in read_text(f"{path}/{file}").splitlines():
            device = line.split()[0]
            if ":" in device and (file, device) not in kept:
                rows.append((file, f"{device} {none}"))
    return rows
