"""Mounts of a `run` step: what lies in their sources while the command runs.

Caches are kept in the state root (`caches/<hash of the id>`), everything else is copied into a directory of the step's
and goes with it. `materialise` runs in a worker process.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import shutil
import stat
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from stackfile.build.sources import ContextSources, ImageSources
from stackfile.build.steps.base import PATIENCE, Workshop
from stackfile.errors import ActionError
from stackfile.images import copytree
from stackfile.images.view import MergedView, absolute
from stackfile.model.patterns import normal
from stackfile.model.stack import Mount, RunMount, Step
from stackfile.provider.engine import Progress
from stackfile.turns import Turn


def inputs(step: Step, workshop: Workshop) -> Iterator[tuple[str, str]]:
    """What the mounts' content adds to a step's key: (name for a person, digest)."""
    for mount in step.mounts:
        yield f"mount {mount.target}", f"{mount.type} {mount.source} {mount.from_image} {mount.id} {mount.read_only}"
        if mount.type == "bind":
            yield f"files at {mount.target}", _content(mount, workshop)


_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


async def mounts(step: Step, base: str, secrets: Mapping[str, str], workshop: Workshop) -> list[Mount]:
    """The mounts for the runner; what they need is below directory `base`."""
    result: list[Mount] = []
    for number, mount in enumerate(step.mounts):
        directory = f"{base}/mount{number}"
        made = await _one(mount, directory, secrets, workshop)
        if made is not None:
            result.append(made)
    for name, text in step.inline.items():
        path = f"{base}/{name}"
        _write(path, text, 0o755)
        result.append(Mount(type="bind", source=path, target=f"/run/{name}", read_only=True))
    return result


@asynccontextmanager
async def exclusive(step: Step, doing: str, workshop: Workshop, progress: Progress) -> AsyncIterator[None]:
    """Keep other steps off the caches that this step wants for itself (`sharing=locked` and `private`).

    Raises ActionError (`timeout`).
    """
    wanted = sorted({item.id for item in step.mounts if item.type == "cache" and item.sharing != "shared"})
    async with AsyncExitStack() as stack:
        for identity in wanted:  # sorted, or two steps could wait for each other
            turn = workshop.locks.setdefault(identity, Turn())
            await stack.enter_async_context(turn.take(f"cache {identity}", doing, patience=PATIENCE, told=progress))
        yield


def stubs(lower: Sequence[str], targets: Sequence[str]) -> list[str]:
    """Paths that the image has not, and that are made only so that something can be mounted there. Parents first."""
    missing: dict[str, None] = {}
    with MergedView(lower) as view:
        for target in targets:
            path, way = view.canonical(absolute(target)), []
            while path != "/" and not _there(view, path):
                way.append(path)
                path = posixpath.dirname(path)
            missing.update(dict.fromkeys(reversed(way)))
    return list(missing)


def _there(view: MergedView, path: str) -> bool:
    node = view.lookup(path, follow=False)
    if node is not None:
        node.close()
    return node is not None


def clear(upper: str, made: Sequence[str]) -> None:
    """Take away those of the stubs that the command left empty."""
    for path in reversed(made):
        try:
            parent = _open_below(upper, posixpath.dirname(path))
        except OSError:
            continue
        try:
            _remove_empty(parent, posixpath.basename(path))
        finally:
            os.close(parent)


def _open_below(root: str, path: str) -> int:
    """A directory below `root`, without following any link: the command may have made some."""
    fd = os.open(root, _DIRECTORY)
    for name in path.strip("/").split("/") if path != "/" else []:
        try:
            below = os.open(name, _DIRECTORY, dir_fd=fd)
        finally:
            os.close(fd)
        fd = below
    return fd


def _remove_empty(parent: int, name: str) -> None:
    with suppress(OSError):
        status = os.lstat(name, dir_fd=parent)
        if stat.S_ISDIR(status.st_mode):
            os.rmdir(name, dir_fd=parent)
        elif stat.S_ISREG(status.st_mode) and not status.st_size:
            os.unlink(name, dir_fd=parent)


async def _one(mount: RunMount, directory: str, secrets: Mapping[str, str], workshop: Workshop) -> Mount | None:
    if mount.type == "tmpfs":
        return Mount(type="tmpfs", target=mount.target, tmpfs_size=mount.size)
    if mount.type == "secret":
        if mount.id not in secrets:
            if mount.required:
                raise ActionError("build-failed", f"no secret {mount.id!r} was given to the build",
                                  hint="name it in `build: {secrets: […]}`")  # fmt: skip
            return None
        _write(directory, secrets[mount.id], 0o400 if mount.mode is None else mount.mode, (mount.uid, mount.gid))
        return Mount(type="bind", source=directory, target=mount.target, read_only=True)
    if mount.type == "cache":
        return await _cache(mount, workshop)
    os.mkdir(directory, 0o755)
    source = await workshop.pooled(materialise, _found(mount, workshop), mount.source, directory)
    return Mount(type="bind", source=source, target=mount.target, read_only=mount.read_only)


async def _cache(mount: RunMount, workshop: Workshop) -> Mount:
    directory = f"{workshop.images.paths.caches}/{hashlib.sha256(mount.id.encode()).hexdigest()[:32]}"
    if not os.path.isdir(directory):
        os.makedirs(os.path.dirname(directory), mode=0o700, exist_ok=True)
        os.mkdir(directory)
        if mount.from_image:
            await workshop.pooled(materialise, _found(mount, workshop), mount.source, directory)
        os.chown(directory, mount.uid, mount.gid)
        os.chmod(directory, 0o755 if mount.mode is None else mount.mode)
    return Mount(type="bind", source=directory, target=mount.target, read_only=mount.read_only)


def _content(mount: RunMount, workshop: Workshop) -> str:
    if mount.from_image:
        return next(iter(workshop.layers_of(mount.from_image)), "")
    return workshop.contexts.part(mount.context, (mount.source or ".",))[0]


def _found(mount: RunMount, workshop: Workshop) -> ContextSources | ImageSources:
    if mount.from_image:
        return ImageSources(tuple(workshop.images.layers.path(item) for item in workshop.layers_of(mount.from_image)))
    manifest = workshop.contexts.part(mount.context, (mount.source or ".",))[1]
    return ContextSources(manifest, workshop.images.blobs.root)


def materialise(found: ContextSources | ImageSources, source: str, directory: str) -> str:
    """Put what `source` names into an empty directory. Returns what is to be mounted: it, or the file in it."""
    if isinstance(found, ContextSources):
        return _of_context(found, normal(source or "."), directory)
    with MergedView(found.lower) as view:
        path = posixpath.join("/", source)
        node = view.lookup(path)
        if node is None:
            raise ActionError("build-failed", f"mount: the image has no {path}")
        with node:
            if node.is_directory:
                copytree.copy(view, path, directory)
                return directory
            with open(node.open(), "rb") as origin, open(f"{directory}/file", "xb") as target:
                shutil.copyfileobj(origin, target)
            os.chmod(f"{directory}/file", node.status.st_mode & 0o7777)
            return f"{directory}/file"


def _of_context(found: ContextSources, source: str, directory: str) -> str:
    chosen = found.choose([source])[0]
    if chosen.entry.type == "file":
        assert isinstance(chosen.entry.content, str)
        shutil.copyfile(chosen.entry.content, f"{directory}/file")
        os.chmod(f"{directory}/file", chosen.entry.mode)
        return f"{directory}/file"
    for member in sorted(chosen.below, key=lambda item: item.path):
        path = f"{directory}/{member.path}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if member.type == "dir":
            os.makedirs(path, exist_ok=True)
        elif member.type == "symlink":
            os.symlink(member.target, path)
        else:
            assert isinstance(member.content, str)
            shutil.copyfile(member.content, path)
        if member.type != "symlink":
            os.chmod(path, member.mode)
    return directory


def _write(path: str, text: str, mode: int, owner: tuple[int, int] = (0, 0)) -> None:
    with open(path, "x", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    os.chown(path, *owner)
    os.chmod(path, mode)
