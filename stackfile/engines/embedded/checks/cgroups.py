"""Cgroups: the hierarchy, its controllers, and whether we may make groups."""

from __future__ import annotations

import os
from collections.abc import Iterator

from stackfile.engines.embedded.checks.row import MISSING, OK, Row, judged, read
from stackfile.runtime.cgroup import hierarchy
from stackfile.settings import Settings

_WANTED = {
    1: ("memory", "cpu", "cpuset", "pids", "blkio", "devices", "freezer"),
    2: ("memory", "cpu", "cpuset", "pids", "io"),
}


def rows(settings: Settings) -> Iterator[Row]:
    found = hierarchy.detect()
    if not found.version:
        # In a chroot the engine mounts them for itself, see supervisor/view.py.
        bare = not os.path.isdir("/sys/fs/cgroup")
        mend = "mount -t cgroup2 none /sys/fs/cgroup"
        yield judged(
            "cgroups",
            not bare and os.geteuid() == 0,
            "not mounted; the engine mounts them for itself",
            mend,
            bad=MISSING,
        )
        return
    yield ("cgroups", OK, f"version {found.version}, below {settings.cgroup_parent}", "")
    present = set(found.v1) if found.version == 1 else set(found.v2_controllers)
    lacking = [name for name in _WANTED[found.version] if name not in present]
    shown = (
        f"without {', '.join(lacking)}: their limits have no effect" if lacking else ", ".join(_WANTED[found.version])
    )
    yield judged("controllers", not lacking, shown, _enable(found, lacking))
    points = sorted(set(found.v1.values())) if found.version == 1 else [found.v2]
    closed = [point for point in points if not os.access(point, os.W_OK) or _read_only(point)]
    shown = f"cannot be written: {', '.join(closed)}" if closed else "groups can be made"
    if os.geteuid() == 0:
        yield judged(
            "delegation",
            not closed,
            shown,
            "mount -o remount,rw it, or have it delegated (systemd: Delegate=yes)",
            bad=MISSING,
        )
    if found.version == 2:
        on = set(read(f"{found.v2}/cgroup.subtree_control").split())
        off = [name for name in _WANTED[2] if name in present and name not in on]
        yield ("subtree", OK, f"{', '.join(off)} will be switched on" if off else "all controllers are on", "")


def _enable(found: hierarchy.Hierarchies, lacking: list[str]) -> str:
    """How a controller comes: mount it, or boot with it."""
    disabled = {fields[0] for line in read("/proc/cgroups").splitlines() if (fields := line.split())[3:4] == ["0"]}
    words = [f"cgroup_enable={name}" for name in lacking if name in disabled]
    if words:
        return f"boot with {' '.join(words)}"
    if found.version == 2:
        return "mounted as cgroup v1 elsewhere? boot with systemd.unified_cgroup_hierarchy=1"
    return "; ".join(f"mount -t cgroup -o {name} cgroup /sys/fs/cgroup/{name}" for name in lacking)


def _read_only(path: str) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
