"""What this machine offers, and what stands in the way: `system doctor`."""

from __future__ import annotations

import os
import platform
import shutil
import sys

from stackfile.engines.embedded.core import Core

Row = tuple[str, str, str, str]
"""(check, status ok|warning|missing, what was found, how to mend it)"""

OK, WARNING, MISSING = "ok", "warning", "missing"
_NAMESPACES = ("mnt", "pid", "net", "ipc", "uts", "cgroup")
_LOW_SPACE = 1 << 30
_KERNEL = (5, 8)
"""The first kernel with everything that is used here (mount API with overlay, pidfds, clone3)."""


class Doctor:
    """Looks at the machine; changes nothing."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def check(self) -> list[Row]:
        """All checks, in the order in which one would look."""
        rows = [_python(), _kernel(), _namespaces(), self._cgroups(), self._storage(), self._space(), self._run_root()]
        rows += [self._process(name) for name in ("shim", "resolver")]
        return rows + [(row.name, row.status, row.found, row.mend) for row in self._core.network.doctor()]

    def _cgroups(self) -> Row:
        version = self._core.cgroups.version
        parent = self._core.settings.cgroup_parent
        return ("cgroups", OK, f"version {version}, below {parent}", "")

    def _storage(self) -> Row:
        kind = self._core.snapshots.kind
        if kind == "overlay":
            return ("storage", OK, f"overlay on {self._core.settings.root}", "")
        return ("storage", WARNING, f"{kind}: {self._core.settings.root} cannot carry an overlay",
                "put STACKFILE_ROOT on ext4, xfs or btrfs: containers then share their image's files")  # fmt: skip

    def _space(self) -> Row:
        free = shutil.disk_usage(self._core.settings.root).free
        found = f"{free / (1 << 30):.1f} GiB free on {self._core.settings.root}"
        return ("disk", OK if free > _LOW_SPACE else WARNING, found, "" if free > _LOW_SPACE else "make room")

    def _run_root(self) -> Row:
        run = self._core.settings.run
        kind = _file_system(run)
        if kind in ("tmpfs", "ramfs"):
            return ("run root", OK, f"{run} is in memory ({kind})", "")
        return ("run root", WARNING, f"{run} is on {kind}: contents of secrets are written to a disk",
                "put STACKFILE_RUN below /run")  # fmt: skip

    def _process(self, name: str) -> Row:
        status = self._core.supervisor.status().get(name)
        if status is None or not status.pid:
            return (name, MISSING, "does not run", f"see {self._core.run_paths.log(name)}")
        return (name, OK, f"pid {status.pid}, {status.restarts} restarts", "")


def _python() -> Row:
    found = platform.python_version()
    return ("python", OK, f"{found} at {sys.executable}", "")


def _kernel() -> Row:
    release = platform.release()
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    if numbers >= _KERNEL:
        return ("kernel", OK, release, "")
    return ("kernel", MISSING, release, f"Linux {_KERNEL[0]}.{_KERNEL[1]} or newer is needed")


def _namespaces() -> Row:
    missing = [name for name in _NAMESPACES if not os.path.exists(f"/proc/self/ns/{name}")]
    if missing:
        return ("namespaces", MISSING, f"without {', '.join(missing)}", "use a kernel with CONFIG_NAMESPACES")
    return ("namespaces", OK, ", ".join(_NAMESPACES), "")


def _file_system(path: str) -> str:
    """Type of the file system that `path` is on, by the longest mount point above it (proc(5), mountinfo)."""
    best, kind = "", "unknown"
    with open("/proc/self/mountinfo") as file:
        for line in file:
            fields, _, rest = line.partition(" - ")
            point = fields.split()[4]
            if (path == point or path.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
                best, kind = point, rest.split()[0]
    return kind
