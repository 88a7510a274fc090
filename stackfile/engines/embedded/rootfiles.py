"""Files of containers as archives: copying in and out, what changed, exports, and images made of containers."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from stackfile import wire
from stackfile.build import layer
from stackfile.build.layer import Ground, Made
from stackfile.engines.embedded import clock
from stackfile.engines.embedded.bus import Bus
from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.labelled import attributes
from stackfile.engines.embedded.launcher import Launcher
from stackfile.engines.embedded.pool import WorkerPool
from stackfile.engines.embedded.registry import Container
from stackfile.engines.embedded.volumes import Volumes
from stackfile.errors import ActionError
from stackfile.images import changes, documents, durable, exporttree
from stackfile.images.layers import Layer
from stackfile.model.image import HistoryEntry, ImageConfig, ImageRecord
from stackfile.provider.engine import PathStat
from stackfile.refusals import no_process
from stackfile.runtime.rootio import protocol
from stackfile.runtime.rootio.protocol import Reply, Request

T = TypeVar("T")

_CHUNK = 1 << 18
_PROGRAM = (sys.executable, "-I", "-m", "stackfile.runtime.rootio")


class RootFiles:
    """Reads and writes below containers' roots; the work is done in processes of its own, never in the loop."""

    def __init__(self, core: Core, launcher: Launcher, volumes: Volumes, pool: WorkerPool, bus: Bus) -> None:
        self._core = core
        self._launcher = launcher
        self._volumes = volumes
        self._pool = pool
        self._bus = bus

    # ---- files

    async def stat(self, container: Container, path: str) -> PathStat:
        """Raises NotFoundError."""
        process = await self._spawn(self._request(container, "stat", path))
        try:
            return _found(await _reply(process))
        finally:
            await _end(process)

    async def read(self, container: Container, path: str) -> tuple[PathStat, AsyncIterator[bytes]]:
        """What `path` is, and a tar of it. Raises NotFoundError."""
        process = await self._spawn(self._request(container, "get", path))
        try:
            found = _found(await _reply(process))
        except BaseException:
            await _end(process)
            raise
        return found, _rest(process)

    async def write(
        self, container: Container, path: str, data: AsyncIterator[bytes], *, keep_types: bool, own: bool
    ) -> None:
        """Unpack a tar into a directory; `own` gives everything to the container's user.

        NotFoundError, ActionError: `bad-archive`, `unsafe-path`, `bad-request`.
        """
        if container.spec.read_only and not self._in_mount(container, path):
            raise ActionError("bad-request", f"container {container.name}: its root is read-only")
        owner = None
        if own:
            image = self._launcher.image(container)
            root = self._core.snapshots.get(container.id)
            account = self._launcher.account(container, root, container.spec.user or image.user)
            owner = (account.uid, account.gid)
        request = replace(self._request(container, "put", path), keep_types=keep_types, owner=owner)
        process = await self._spawn(request, stdin=True)
        try:
            await _feed(process, data)
            await _reply(process)
        finally:
            await _end(process)
        self._bus.publish("container", "extract-to-dir", container.id, attributes(container))

    async def changes(self, container: Container) -> list[tuple[int, str]]:
        """(0 modified, 1 added, 2 deleted; path)."""
        root = self._core.snapshots.get(container.id)
        if root.kind != "overlay":
            raise ActionError("bad-request", f"changes are not known with the {root.kind} snapshotter")
        return await self._pooled(changes.changes, root.upper, root.lower)

    async def usage(self, container: Container) -> int:
        """Bytes of the writable layer."""
        root = self._core.snapshots.get(container.id)
        return await asyncio.to_thread(changes.usage, root.upper)

    def export(self, container: Container) -> AsyncIterator[bytes]:
        """The root file system as a tar, without what is mounted on it."""
        self._bus.publish("container", "export", container.id, attributes(container))
        return _piped(self._core.snapshots.get(container.id).layers)

    # ---- images

    async def commit(
        self, container: Container, config: ImageConfig, *, tag: str, comment: str, author: str
    ) -> ImageRecord:
        """A new image: the container's on which its writable layer is one more."""
        image = self._core.images.get(container.spec.image)
        root = self._core.snapshots.get(container.id)
        chain = documents.chain_ids(image.layers)
        ground = Ground(root=self._core.settings.root, lower=root.lower, chain_id=chain[-1] if chain else "")
        made: Made = await self._pooled(layer.of_copy, ground, root.upper)
        below = [
            Layer(diff_id=diff_id, chain_id=chain_id) for diff_id, chain_id in zip(image.layers, chain, strict=True)
        ]
        command = " ".join([*(container.spec.entrypoint or ()), *(container.spec.command or ())])
        entry = HistoryEntry(
            created_by=command, comment=comment, created=clock.rfc3339(clock.now_ns()), empty_layer=not made.diff_id
        )
        record = self._add(
            config, [*self._sized(below), *_layers(made)], [*image.history, entry], parent=image.id, tag=tag
        )
        more = {"comment": comment, "imageID": record.id, "imageRef": tag}
        self._bus.publish("container", "commit", container.id, attributes(container, **more))
        return record

    async def import_image(
        self, data: AsyncIterator[bytes], config: ImageConfig, *, tag: str, comment: str
    ) -> ImageRecord:
        """An image of one layer, from a tar, perhaps compressed. ActionError: `bad-archive`, `unsafe-path`."""
        path = os.path.join(self._core.paths.temporary, f"import-{os.getpid()}-{id(data):x}")
        try:
            with durable.full_disk(path), open(path, "xb") as file:
                async for chunk in data:
                    await asyncio.to_thread(file.write, chunk)
            ground = Ground(root=self._core.settings.root, lower=(), chain_id="")
            made: Made = await self._pooled(layer.of_archive, ground, path)
        finally:
            if os.path.exists(path):
                os.unlink(path)
        entry = HistoryEntry(created_by="", comment=comment, created=clock.rfc3339(clock.now_ns()))
        record = self._add(config, _layers(made), [entry], parent="", tag=tag)
        self._bus.publish("image", "import", record.id, {"name": record.id})
        return record

    # ---- inside

    def _add(
        self, config: ImageConfig, layers: Sequence[Layer], history: Sequence[HistoryEntry], *, parent: str, tag: str
    ) -> ImageRecord:
        return self._core.images.add(config, layers, history=history, parent=parent, tags=(tag,) if tag else ())

    def _sized(self, layers: Sequence[Layer]) -> list[Layer]:
        return [replace(item, size=self._core.images.blobs.size(item.diff_id)) for item in layers]

    def _in_mount(self, container: Container, path: str) -> bool:
        clean = "/" + os.path.normpath(f"/{path}").lstrip("/")
        writable = [mount.target for mount in container.spec.mounts if not mount.read_only]
        return any(clean == target or clean.startswith(f"{target.rstrip('/')}/") for target in writable)

    def _request(self, container: Container, verb: str, path: str) -> Request:
        if container.alive:
            return Request(verb=verb, path=path, pid=container.state.pid)
        root = self._core.snapshots.get(container.id)
        stage = os.path.dirname(self._core.run_paths.container(container.id))
        os.makedirs(stage, mode=0o700, exist_ok=True)
        return Request(
            verb=verb,
            path=path,
            lower=root.lower,
            upper=root.upper,
            work=root.work,
            mounts=tuple(self._mounts(container)),
            stage=stage,
        )

    def _mounts(self, container: Container) -> list[tuple[str, str, bool]]:
        declared: Mapping[str, bool] = {mount.target: mount.read_only for mount in container.spec.mounts}
        binds = [
            (mount.source, mount.target, mount.read_only) for mount in container.spec.mounts if mount.type == "bind"
        ]
        volumes = [
            (self._volumes.get(name).mountpoint, target, declared.get(target, False))
            for target, name in container.place.volumes.items()
        ]
        return [item for item in (*binds, *volumes) if os.path.exists(item[0])]

    async def _pooled(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.wrap_future(self._pool.submit(function, *arguments))

    async def _spawn(self, request: Request, *, stdin: bool = False) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                *_PROGRAM,
                wire.encode(request).decode(),
                stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                limit=_CHUNK,
            )
        except BlockingIOError as error:
            raise no_process(error) from error


def _layers(made: Made) -> list[Layer]:
    return [Layer(diff_id=made.diff_id, chain_id=made.chain_id, size=made.size)] if made.diff_id else []


async def _reply(process: asyncio.subprocess.Process) -> Reply:
    """The process's answer. Raises what it says."""
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise ActionError("action-failed", "the process that reads the container's files ended without an answer")
    reply = wire.decode(line, Reply)
    if reply.error:
        raise wire.error_from_plain(reply.error)
    return reply


def _found(reply: Reply) -> PathStat:
    stat = reply.stat or protocol.PathStat(name="", size=0, mode=0, mtime_ns=0)
    return PathStat(name=stat.name, size=stat.size, mode=stat.mode, mtime_ns=stat.mtime_ns, link=stat.link)


async def _rest(process: asyncio.subprocess.Process) -> AsyncIterator[bytes]:
    assert process.stdout is not None
    try:
        while data := await process.stdout.read(_CHUNK):
            yield data
        if await process.wait():
            raise ActionError("action-failed", "the files changed while they were read")
    finally:
        await _end(process)


async def _feed(process: asyncio.subprocess.Process, data: AsyncIterator[bytes]) -> None:
    assert process.stdin is not None
    try:
        async for chunk in data:
            process.stdin.write(chunk)
            await process.stdin.drain()
        process.stdin.close()
        await process.stdin.wait_closed()
    except (BrokenPipeError, ConnectionResetError):
        # It stopped reading: its answer says why.
        return


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        try:
            process.kill()
        except ProcessLookupError:
            pass
        await process.wait()


async def _piped(layers: Sequence[str]) -> AsyncIterator[bytes]:
    """A thread writes the tar into a pipe; closing this ends it."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    thread = threading.Thread(target=exporttree.write, args=(layers, writing), name="export", daemon=True)
    thread.start()
    try:
        while data := await asyncio.to_thread(os.read, reading, _CHUNK):
            yield data
    finally:
        os.close(reading)
