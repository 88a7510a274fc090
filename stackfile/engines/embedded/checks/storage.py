"""Where images, containers and sockets lie: overlayfs, space, memory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator

from stackfile.engines.embedded.checks.row import OK, WARNING, Row, judged
from stackfile.errors import KernelError
from stackfile.images.snapshots import filesystem_type
from stackfile.kernel.mounts import FileSystem
from stackfile.refusals import understood
from stackfile.settings import Settings

_LOW_SPACE, _LOW_FILES = 1 << 30, 20_000
_LOW_MEMORY = 64 << 20


def rows(settings: Settings) -> Iterator[Row]:
    root, run = _existing(settings.root), _existing(settings.run)
    yield _overlay(settings, root)
    free = shutil.disk_usage(root).free
    yield judged(
        "disk", free > _LOW_SPACE, f"{free / (1 << 30):.1f} GiB free on {root}", "make room: stackfile system prune"
    )
    state = os.statvfs(root)
    if state.f_files:
        yield judged(
            "inodes",
            state.f_favail > _LOW_FILES,
            f"{state.f_favail} free on {root}",
            "remove small files, or use a bigger file system",
        )
    kind = filesystem_type(run)
    found = f"{settings.run} is in memory ({kind})" if kind in ("tmpfs", "ramfs") else (
        f"{settings.run} is on {kind}: contents of secrets are written to a disk")  # fmt: skip
    yield judged("run root", kind in ("tmpfs", "ramfs"), found, "put STACKFILE_RUN below /run")
    free = shutil.disk_usage(run).free
    yield judged(
        "run space", free > _LOW_MEMORY, f"{free >> 20} MiB free on {run}", f"mount -o remount,size=512m {run}"
    )


def _existing(path: str) -> str:
    """The path, or what of it exists already."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _overlay(settings: Settings, root: str) -> Row:
    """Makes one and lets go of it: nothing is mounted anywhere."""
    mend = "put STACKFILE_ROOT on ext4, xfs or btrfs: containers then share their image's files"
    if not os.access(root, os.W_OK):
        status = WARNING
        return ("storage", status, f"{root} cannot be written", "look again as root, or put STACKFILE_ROOT elsewhere")
    try:
        directory = tempfile.mkdtemp(prefix=".doctor-", dir=root)
    except OSError as error:
        known = understood(error)
        return ("storage", WARNING, f"{root} cannot be written: {known}", known.hint)
    try:
        for name in ("lower", "upper", "work"):
            os.mkdir(f"{directory}/{name}")
        with FileSystem("overlay") as made:
            made.set("lowerdir", f"{directory}/lower")
            made.set("upperdir", f"{directory}/upper")
            made.set("workdir", f"{directory}/work")
            os.close(made.mount())
    except KernelError as error:
        return ("storage", WARNING, f"no overlay on {root} ({filesystem_type(root)}): {error}", mend)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return ("storage", OK, f"overlay on {settings.root} ({filesystem_type(root)})", "")
