"""Root file systems of containers: an overlay of an image's layers, or a copy of them (`vfs`)."""

from __future__ import annotations

import os
from dataclasses import dataclass

from stackfile import wire
from stackfile.errors import NotFoundError
from stackfile.images import copytree, durable
from stackfile.images.store import ImageStore
from stackfile.images.view import MergedView
from stackfile.paths import StatePaths


@dataclass(frozen=True, slots=True, kw_only=True)
class RootMount:
    """How the root file system of a container comes about.

    kind overlay: mount `lower` (topmost first) with `upper` and `work`. kind vfs: bind `upper`; nothing else is set.
    """

    kind: str
    lower: tuple[str, ...] = ()
    upper: str = ""
    work: str = ""

    @property
    def layers(self) -> tuple[str, ...]:
        """Directories of the merged view, topmost first."""
        return (self.upper, *self.lower)


class Snapshots:
    """Writable layers of containers, below `containers/<id>` of the state root."""

    def __init__(self, paths: StatePaths, images: ImageStore, kind: str = "") -> None:
        """`kind` is overlay or vfs; by default overlay where the state root's file system can carry one."""
        self._paths = paths
        self._images = images
        self._kind = kind

    @property
    def kind(self) -> str:
        """overlay or vfs."""
        if not self._kind:
            self._kind = "overlay" if _can_overlay(self._paths.root) else "vfs"
        return self._kind

    def prepare(self, identity: str, image_id: str) -> RootMount:
        """Make the writable layer of a container of an image, or give the one that is there. Errors as
        `ImageStore.lower`, and ActionError (`disk-full`).
        """
        base = self._paths.container(identity)
        if os.path.exists(f"{base}/root.json"):
            return self.get(identity)
        lower = self._images.lower(image_id)
        with durable.full_disk(base):
            root = self._fill(base, lower)
            # The description is what makes the snapshot exist: a kill before it leaves directories that are redone.
            durable.write_file(f"{base}/root.json", wire.encode(root))
        return root

    def get(self, identity: str) -> RootMount:
        """The root of a container that was prepared. NotFoundError without one."""
        try:
            with open(f"{self._paths.container(identity)}/root.json", "rb") as file:
                return wire.decode(file.read(), RootMount)
        except FileNotFoundError as e:
            raise NotFoundError("snapshot", identity) from e

    def remove(self, identity: str) -> None:
        """Delete the writable layer; the container's other files stay. Idempotent."""
        base = self._paths.container(identity)
        try:
            os.unlink(f"{base}/root.json")
        except FileNotFoundError:
            pass
        for name in ("upper", "work"):
            durable.discard(f"{base}/{name}", self._paths.temporary)

    def read_file(self, root: RootMount, path: str, limit: int = 1 << 20) -> bytes | None:
        """Content of a regular file in the merged view, without mounting it. None when there is none.

        Links are followed inside the root only. ActionError (`action-failed`) when it has more than `limit` bytes.
        """
        with MergedView(root.layers) as view:
            return view.read(path, limit)

    def fill_volume(self, root: RootMount, path: str, target_dir: str) -> None:
        """Copy a directory of the merged view into an existing one: owners, modes, times, xattrs, links. Nothing
        happens where the image has no such directory.
        """
        with MergedView(root.layers) as view:
            copytree.copy(view, path, target_dir)

    def _fill(self, base: str, lower: tuple[str, ...]) -> RootMount:
        for name in ("upper", "work"):
            durable.discard(f"{base}/{name}", self._paths.temporary)
        os.makedirs(f"{base}/upper", mode=0o755)
        if self.kind == "vfs":
            with MergedView(lower) as view:
                copytree.copy(view, "/", f"{base}/upper")
            return RootMount(kind="vfs", upper=f"{base}/upper")
        os.mkdir(f"{base}/work", 0o700)
        if lower:
            # The merged root shows the attributes of the upper directory.
            copytree.copy_attributes(lower[0], f"{base}/upper")
        return RootMount(kind="overlay", lower=lower, upper=f"{base}/upper", work=f"{base}/work")


def _can_overlay(root: str) -> bool:
    """Whether the kernel has overlay and the file system of `root` may be its upper layer."""
    with open("/proc/filesystems") as file:
        if not any(line.split()[-1] == "overlay" for line in file):
            return False
    return filesystem_type(root) not in ("overlay", "aufs", "nfs", "nfs4", "cifs", "9p", "vfat", "ecryptfs")


def filesystem_type(path: str) -> str:
    """Type of the file system that holds `path` (proc_pid_mountinfo(5))."""
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo") as file:
        for line in file:
            fields, _, rest = line.partition(" - ")
            if fields.split()[2] == number:
                return rest.split()[0]
    return ""
