"""Which cgroup hierarchies are mounted, and small file access below them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from stackfile.errors import KernelError

V1_CONTROLLERS = ("memory", "cpu", "cpuacct", "cpuset", "pids", "devices", "blkio", "freezer")


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """version 1 (also hybrid), 2 or 0 (none). `v1` maps controller → mount point; `v2` is the unified mount point."""

    version: int
    v1: Mapping[str, str] = field(default_factory=dict)
    v2: str = ""
    v2_controllers: tuple[str, ...] = ()


def detect(mountinfo: str | None = None) -> Hierarchies:
    """Read the mounts of this process (or the given text of a mountinfo file, proc(5))."""
    text = read_text("/proc/self/mountinfo") if mountinfo is None else mountinfo
    v1: dict[str, str] = {}
    v2 = ""
    for line in text.splitlines():
        head, _, tail = line.partition(" - ")
        kind, _, rest = tail.partition(" ")
        point = head.split(" ")[4]
        if kind == "cgroup2":
            v2 = v2 or point
        elif kind == "cgroup":
            for option in rest.split(" ")[-1].split(","):
                if option in V1_CONTROLLERS:
                    v1.setdefault(option, point)
    controllers = tuple(read_text(f"{v2}/cgroup.controllers").split()) if v2 else ()
    if v1:
        return Hierarchies(1, v1, v2, controllers)
    return Hierarchies(2 if v2 else 0, {}, v2, controllers)


def read_text(path: str) -> str:
    """Content of a small file, "" when it cannot be read (a limit file that this kernel does not have)."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        chunks = []
        while chunk := os.read(fd, 65536):
            chunks.append(chunk)
        return b"".join(chunks).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(fd)


def read_number(path: str) -> int:
    """The number in a file; 0 for `max`, for a value that means no limit, or when it cannot be read."""
    text = read_text(path).strip()
    number = int(text) if text.lstrip("-").isdigit() else 0
    return 0 if number < 0 or number >= 0x7FFFFFFFFFFFF000 else number


def read_keyed(path: str) -> dict[str, int]:
    """A flat-keyed file (`name value` a line)."""
    rows = (line.split() for line in read_text(path).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def read_value(path: str, name: str) -> int:
    """The value of one name in a flat-keyed file; 0 when it is not there."""
    text = f"\n{read_text(path)}"
    begin = text.find(f"\n{name} ")
    return int(text[begin + len(name) + 2 :].partition("\n")[0]) if begin >= 0 else 0


def write_text(path: str, value: str) -> None:
    """Write a control file in one write. Raises KernelError naming the file and the value."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)
    except OSError as error:
        raise KernelError(error.errno or 0, "write", f"{value!r} to {path}") from error


def make_directory(path: str) -> None:
    """mkdir with parents; no error when it is there. Raises KernelError."""
    try:
        os.makedirs(path, mode=0o755, exist_ok=True)
    except OSError as error:
        raise KernelError(error.errno or 0, "mkdir", path) from error


def processes_below(path: str, name: str = "cgroup.procs") -> list[int]:
    """Ids in `name` of `path` and of every group below."""
    found: list[int] = []
    for directory, _, files in os.walk(path):
        if name in files:
            found += [int(line) for line in read_text(f"{directory}/{name}").split()]
    return found
