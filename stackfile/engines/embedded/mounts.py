"""What is mounted into a container: volumes (made and filled on demand), binds, files of configs and secrets."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Sequence
from dataclasses import replace

from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.files import FileStore
from stackfile.engines.embedded.registry import Container
from stackfile.engines.embedded.volumes import Volumes
from stackfile.errors import ActionError
from stackfile.images.snapshots import RootMount
from stackfile.model import labels
from stackfile.model.container import FileMount, VolumeRecord
from stackfile.model.image import ImageConfig
from stackfile.model.stack import Mount
from stackfile.runtime.instructions import BindMount
from stackfile.turns import Turn

_REMEMBERED = 4096
"""Files whose status is known; those of containers that are gone are forgotten with all others."""


class Mounts:
    """Prepares the mounts of containers."""

    def __init__(self, core: Core, volumes: Volumes, files: FileStore) -> None:
        self._core = core
        self._volumes = volumes
        self._files = files
        self._filling: dict[str, Turn] = {}
        self._seen: dict[str, tuple[str, int, int, int, int]] = {}
        """Files of containers that were found whole, with what their status was then."""

    def assign(self, container: Container, image: ImageConfig) -> None:
        """Choose the volume of every volume mount; makes those that do not exist (anonymous ones included)."""
        chosen = dict(container.place.volumes)
        for mount in volume_mounts(container, image):
            name = mount.source or chosen.get(mount.target, "")
            record = self._volumes.create(_volume(container, name))
            chosen[mount.target] = record.name
        container.place = replace(container.place, volumes=chosen)

    async def prepare(self, container: Container, image: ImageConfig, root: RootMount) -> None:
        """Have everything there that `binds` names: volumes filled, host directories made.

        Raises ActionError (`not-found`) for a bind source that is missing and may not be made.
        """
        self.assign(container, image)
        for mount in volume_mounts(container, image):
            if not mount.nocopy:
                await self._fill(container.place.volumes[mount.target], root, mount.target)
        for mount in container.spec.mounts:
            if mount.type == "bind":
                _require_source(container, mount)

    def binds(self, container: Container, image: ImageConfig) -> tuple[BindMount, ...]:
        """Volumes and binds, outer targets before inner ones."""
        found = [self._bind(container, mount) for mount in (*volume_mounts(container, image), *_binds(container))]
        return tuple(sorted(found, key=lambda bind: bind.target.rstrip("/").count("/")))

    def write_files(self, container: Container) -> tuple[BindMount, ...]:
        """Write configs and secrets below the run root; what is there already keeps its inode."""
        directory = f"{self._core.run_paths.container(container.id)}/files"
        os.makedirs(directory, mode=0o700, exist_ok=True)
        found = []
        for number, file in enumerate(container.spec.files):
            path = f"{directory}/{number}"
            self._write(path, file)
            found.append(BindMount(source=path, target=target(file), read_only=True))
        return tuple(found)

    def rewrite(self, container: Container, before: Sequence[FileMount]) -> None:
        """Give a running container the new content of the files whose key differs from `before`, in place."""
        directory = f"{self._core.run_paths.container(container.id)}/files"
        for number, (old, new) in enumerate(zip(before, container.spec.files, strict=False)):
            if old.key != new.key and target(old) == target(new):
                self._write(f"{directory}/{number}", new)

    def changed(self, container: Container) -> list[tuple[FileMount, str]]:
        """Files of a running container whose content or mode is not what was written, each with its path."""
        directory = f"{self._core.run_paths.container(container.id)}/files"
        found = []
        for number, file in enumerate(container.spec.files):
            path = f"{directory}/{number}"
            if not self._is_whole(path, file):
                found.append((file, path))
        return found

    def restore(self, container: Container) -> None:
        """Write those files again, in place."""
        for file, path in self.changed(container):
            self._write(path, file)

    def secrets(self, container: Container) -> dict[str, str]:
        """Contents of the secrets that the environment refers to."""
        found = {name: self._files.read(key, name) for name, key in container.spec.secret_keys.items()}
        return {name: data.decode(errors="surrogateescape") for name, data in found.items()}

    # ---- inside

    def _is_whole(self, path: str, file: FileMount) -> bool:
        """Whether a file holds what its key says. Only read again when its times say that somebody wrote it."""
        try:
            status = os.stat(path)
        except OSError:
            return False
        seen = (file.key, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if self._seen.get(path) == seen:
            return True
        try:
            with open(path, "rb") as stream:
                whole = self._files.key(stream.read()) == file.key and stat.S_IMODE(status.st_mode) == file.mode
        except OSError:
            return False
        if whole:
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            self._seen[path] = seen
        else:
            self._seen.pop(path, None)
        return whole

    def _write(self, path: str, file: FileMount) -> None:
        data = self._files.read(file.key, file.name)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Overwrite, then cut: a reader never sees an empty file.
            os.pwrite(descriptor, data, 0)
            os.ftruncate(descriptor, len(data))
            os.fchown(descriptor, _number(file.uid), _number(file.gid))
            os.fchmod(descriptor, file.mode)
        finally:
            os.close(descriptor)

    async def _fill(self, name: str, root: RootMount, path: str) -> None:
        directory = self._volumes.get(name).mountpoint
        lock = self._filling.setdefault(name, Turn())
        try:
            async with lock.take(f"volume {name}", "filling it"):
                if not os.path.isdir(directory):
                    os.makedirs(directory, 0o755)
                with os.scandir(directory) as entries:
                    empty = next(entries, None) is None
                if empty:
                    await asyncio.to_thread(self._core.snapshots.fill_volume, root, path, directory)
        finally:
            if not lock.locked():
                self._filling.pop(name, None)

    def _bind(self, container: Container, mount: Mount) -> BindMount:
        source = mount.source
        if mount.type == "volume":
            source = self._volumes.get(container.place.volumes[mount.target]).mountpoint
        return BindMount(
            source=source,
            target=mount.target,
            read_only=mount.read_only,
            propagation=mount.propagation,
            recursive=mount.recursive,
            subpath=mount.subpath,
        )


def target(file: FileMount) -> str:
    """Where a config or secret appears: /run/secrets/NAME for secrets, /NAME for configs, unless it says otherwise."""
    if file.target.startswith("/"):
        return file.target
    name = file.target or file.name
    return f"/run/secrets/{name}" if file.kind == "secret" else f"/{name}"


def volume_mounts(container: Container, image: ImageConfig) -> list[Mount]:
    """Volume mounts of the spec, and an anonymous one for each VOLUME of the image that nothing covers."""
    mounts = container.spec.mounts
    covered = {mount.target.rstrip("/") for mount in mounts}
    named = [mount for mount in mounts if mount.type == "volume"]
    return named + [Mount(type="volume", target=path) for path in image.volumes if path.rstrip("/") not in covered]


def _binds(container: Container) -> list[Mount]:
    return [mount for mount in container.spec.mounts if mount.type == "bind"]


def _volume(container: Container, name: str) -> VolumeRecord:
    """The volume as it is made when it does not exist."""
    own = {labels.PROJECT: container.project} if container.project and not name else {}
    return VolumeRecord(name=name, labels=own, anonymous=not name)


def _require_source(container: Container, mount: Mount) -> None:
    if os.path.lexists(mount.source):
        return
    if not mount.create_host_path:
        raise ActionError(
            "not-found",
            f"container {container.name}: bind source {mount.source} does not exist",
            hint="make it, or set bind.create_host_path: true",
        )
    os.makedirs(mount.source, 0o755)


def _number(text: str) -> int:
    if not text.isdigit():
        raise ActionError("bad-request", f"uid and gid of a config or secret are numbers, not {text!r}")
    return int(text)
