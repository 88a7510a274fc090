"""The leak test: full lists of what the kernel and both roots hold, before and after.

A `Snapshot` is a multiset of lines by kind. What is ours is not filtered by name: whatever is there after and was not
there before is a leak, whoever made it. So tests that use it run alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from stackfile.settings import Settings

Lists = dict[str, Counter[str]]


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stat(pid: int) -> tuple[str, int] | None:
    """(state, parent) of a process, None when it is gone."""
    with contextlib.suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return fields[0], int(fields[1])
    return None


def descendants(roots: Iterable[int]) -> list[int]:
    """`roots` and all their children, grandchildren, … that are alive or zombies."""
    children: dict[int, list[int]] = {}
    for pid in _pids():
        if (stat := _stat(pid)) is not None:
            children.setdefault(stat[1], []).append(pid)
    seen: set[int] = set()
    found, queue = [], [root for root in roots if os.path.exists(f"/proc/{root}")]
    while queue:
        pid = queue.pop()
        if pid not in seen:
            seen.add(pid)
            found.append(pid)
            queue += children.get(pid, [])
    return found


def commands(pids: Iterable[int]) -> list[str]:
    """The module that each of our processes runs (`python -I -m MODULE …`)."""
    found = []
    for pid in pids:
        with contextlib.suppress(OSError, IndexError):
            found.append(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[3].decode(errors="replace"))
    return found


def _mounts_and_namespaces() -> tuple[Counter[str], Counter[str]]:
    mounts: Counter[str] = Counter()
    namespaces: set[str] = set()
    seen: set[str] = set()
    for pid in _pids():
        with contextlib.suppress(OSError):
            for kind in os.listdir(f"/proc/{pid}/ns"):
                with contextlib.suppress(OSError):
                    namespaces.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    target = os.readlink(f"/proc/{pid}/fd/{fd}")
                    if re.fullmatch(r"(mnt|net|pid|ipc|uts|cgroup|user|time):\[\d+\]", target):
                        namespaces.add(target)
            namespace = os.readlink(f"/proc/{pid}/ns/mnt")
            if namespace not in seen:
                seen.add(namespace)
                for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
                    fields, _, rest = line.partition(" - ")
                    root, point = fields.split()[3:5]
                    mounts[f"{point} {rest.split()[0]} {rest.split()[1]}"] += 1
                    if rest.startswith("nsfs"):
                        namespaces.add(root)
    return mounts, Counter(namespaces)


def _rules() -> Counter[str]:
    return _nft("ruleset")


def _nft(*what: str) -> Counter[str]:
    """Lines of what nft lists, elements of sets one by one."""
    text = subprocess.run(["nft", "list", *what], capture_output=True, text=True, check=False).stdout
    parts = re.split(r"[\n,]", re.sub(r"counter packets \d+ bytes \d+", "counter", text))
    return Counter(part.strip() for part in parts if part.strip())


def _cgroups() -> Counter[str]:
    return Counter(directory for directory, _, _ in os.walk("/sys/fs/cgroup"))


def _locks() -> Counter[str]:
    found: Counter[str] = Counter()
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.replace("->", "").split()
        found[" ".join((fields[1], fields[3], fields[5]))] += 1
    return found


def _fds(pids: Iterable[int]) -> Counter[str]:
    found: Counter[str] = Counter()
    for pid in pids:
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            name = b" ".join(command[1:4]).decode(errors="replace")
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    target = os.readlink(f"/proc/{pid}/fd/{fd}")
                    found[_fd(name, target)] += 1
    return found


def _fd(process: str, target: str) -> str:
    kind = target.partition(":[")[0]
    return f"{process}: {kind}"


def _zombies(pids: Iterable[int]) -> Counter[str]:
    return Counter(f"child of {stat[1]}" for pid in pids if (stat := _stat(pid)) is not None and stat[0] == "Z")


def _files(roots: Iterable[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for root in roots:
        for directory, folders, files in os.walk(root):
            found.update(os.path.join(directory, name) for name in (*folders, *files))
    return found


@dataclass(frozen=True)
class Watch:
    """What to look at: the engine's roots and the pid of its supervisor (with all its descendants)."""

    roots: tuple[str, ...]
    processes: tuple[int, ...]

    def take(self) -> Lists:
        """The lists as they are now."""
        pids = descendants(self.processes)
        mounts, namespaces = _mounts_and_namespaces()
        return {
            "mounts": mounts,
            "namespaces": namespaces,
            "links": Counter(os.listdir("/sys/class/net")),
            "nft": _rules(),
            "cgroups": _cgroups(),
            "locks": _locks(),
            "fds": _fds(pids),
            "zombies": _zombies(pids),
            "processes": Counter(str(pid) for pid in pids),
            "files": _files(self.roots),
        }


def marked(settings: Settings) -> Lists:
    """What of the lists carries one engine's marks, for where others run beside it."""
    mounts, _ = _mounts_and_namespaces()
    ours = (f"{settings.root}/", f"{settings.run}/")
    return {
        "mounts": Counter({line: count for line, count in mounts.items() if any(root in line for root in ours)}),
        "links": Counter(name for name in os.listdir("/sys/class/net") if name.startswith(settings.bridge_prefix)),
        "nft": _nft("table", "inet", settings.nft_table),
        "cgroups": Counter(path for path in _cgroups() if f"/{settings.cgroup_parent}/" in path),
    }


def compare(before: Lists, after: Lists) -> dict[str, list[str]]:
    """What is there after and was not there before, by kind; empty when nothing leaked."""
    extra = {kind: sorted((after[kind] - before[kind]).elements()) for kind in after}
    return {kind: lines for kind, lines in extra.items() if lines}


def leaked(before: Lists, take: Callable[[], Lists], seconds: float = 3.0) -> dict[str, list[str]]:
    """Poll until nothing is left over, for at most `seconds`; returns what still is."""
    deadline = time.monotonic() + seconds
    while True:
        extra = compare(before, take())
        if not extra or time.monotonic() > deadline:
            return extra
        time.sleep(0.1)
