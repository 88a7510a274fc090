"""Pulls from registries. The network is read in threads, archives are unpacked in worker processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from stackfile.engines.embedded.imports import Imports
from stackfile.errors import ActionError
from stackfile.images import documents, durable, manifests, references
from stackfile.images.bundle import Slice
from stackfile.images.manifests import Descriptor, Index, Manifest
from stackfile.images.references import Reference
from stackfile.images.store import ImageStore
from stackfile.model.image import ImageRecord, RegistryAuth, ResolvedImage, Transfer
from stackfile.provider.engine import Transferred
from stackfile.registry.endpoint import Policy

if TYPE_CHECKING:
    from stackfile.registry.repository import Fetched, Repository
    from stackfile.registry.session import Session

T = TypeVar("T")

PARALLEL = 3
"""Layers that are downloaded at once, by all pulls together."""

_NESTED = 3
_TELL_EVERY = 0.1


class Pulls:
    """Brings images from registries into the store."""

    def __init__(self, store: ImageStore, imports: Imports, policy: Policy) -> None:
        self._store = store
        self._imports = imports
        self._policy = policy
        self._slots = asyncio.Semaphore(PARALLEL)

    async def pull(self, ref: str, platform: str, auth: RegistryAuth, told: Transferred) -> ImageRecord:
        """The image of a reference, under its name. NotFoundError (`image-not-found`), ActionError
        (`registry-denied`, `registry-unreachable`, `pull-failed`, `platform-missing`, `digest-mismatch`,
        `bad-archive`, `disk-full`, `bad-request`).
        """
        reference = references.parse(ref)
        pull = _Pull(self, reference, platform, auth, told)
        try:
            return await pull.run()
        finally:
            pull.stop()

    async def resolve(self, ref: str, auth: RegistryAuth) -> ResolvedImage:
        """What the registry has under a reference. Errors as `registry.resolve`, ActionError (`bad-request`)."""
        return await asyncio.wrap_future(self.thread(_resolve, references.parse(ref), self._policy, auth))

    async def check(self, domain: str, auth: RegistryAuth) -> None:
        """ActionError (`registry-denied`, `registry-unreachable`, `pull-failed`) unless the registry of `domain` takes
        these credentials.
        """
        await asyncio.wrap_future(self.thread(_check, domain, self._policy, auth))

    @property
    def store(self) -> ImageStore:
        return self._store

    @property
    def imports(self) -> Imports:
        return self._imports

    @property
    def policy(self) -> Policy:
        return self._policy

    @property
    def slots(self) -> asyncio.Semaphore:
        return self._slots

    @staticmethod
    def thread(function: Callable[..., T], *arguments: object) -> Future[T]:
        """Run in a thread of its own. It is a daemon: one that waits for a silent registry must not hold up the end of
        the process.
        """
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(function(*arguments))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=run, name="registry", daemon=True).start()
        return future


class _Pull:
    """One pull under way."""

    def __init__(
        self, pulls: Pulls, reference: Reference, platform: str, auth: RegistryAuth, told: Transferred
    ) -> None:
        self._pulls = pulls
        self._reference = reference
        self._platform = manifests.parse_platform(platform) if platform else manifests.host_platform()
        self._auth = auth
        self._told = told
        self._stopped = threading.Event()
        self._session: Session | None = None
        self._repository: Repository
        self._layers: tuple[Descriptor, ...] = ()

    def stop(self) -> None:
        """What still downloads ends."""
        self._stopped.set()
        if self._session is not None:
            self._session.close()

    async def run(self) -> ImageRecord:
        self._repository = await self._thread(self._connect)
        wanted = self._reference.digest or self._reference.tag
        name = f"{self._reference.domain}/{self._reference.path}".removeprefix("docker.io/")
        top = await self._thread(self._repository.manifest, wanted)
        self._told(Transfer(status=f"Pulling from {name}", id=wanted))
        manifest, own = await self._manifest(top)
        document = await self._thread(self._repository.document, manifest.config)
        record = await self._import(manifest, own, document, top.digest)
        self._told(Transfer(status=f"Digest: {top.digest}"))
        return record

    async def _manifest(self, fetched: Fetched) -> tuple[Manifest, str]:
        """The manifest of the wanted platform, and its digest."""
        for _ in range(_NESTED):
            found = manifests.decode(fetched.data, fetched.media_type)
            if isinstance(found, Manifest):
                return found, fetched.digest
            assert isinstance(found, Index)
            chosen = manifests.choose(found, self._platform)
            fetched = await self._thread(self._repository.manifest, chosen.digest)
        raise ActionError("bad-archive", f"the indexes of {self._reference.familiar} are nested too deeply")

    async def _import(self, manifest: Manifest, own: str, document: bytes, digest: str) -> ImageRecord:
        store = self._pulls.store
        self._layers = manifest.layers
        store.begin_pull(own, documents.decode_config(document)[1])
        record = await self._pulls.imports.add(
            document,
            self._fetch,
            names=[_short(layer) for layer in manifest.layers],
            # As Docker: what is named by digest gets no tag, which may mean something else by now.
            tags=[] if self._reference.digest else [str(self._reference)],
            digests_of=[f"{self._reference.domain}/{self._reference.path}@{digest}"],
            told=self._told,
        )
        store.end_pull(own)
        return record

    async def _fetch(self, index: int) -> tuple[Slice, bool]:
        layer = self._layers[index]
        name = _short(layer)
        async with self._pulls.slots:
            path = durable.temporary_name(self._pulls.store.paths.temporary, "pull-")
            await self._thread(self._download, layer, path, asyncio.get_running_loop(), undo=path)
        self._told(Transfer(status="Download complete", id=name))
        return Slice(path, 0, layer.size), True

    # ---- in threads

    def _connect(self) -> Repository:
        # requests takes 0.14 s to import: not before the first pull, not in the loop.
        from stackfile.registry.repository import Repository
        from stackfile.registry.session import Session

        self._session = Session(self._reference.domain, self._pulls.policy, self._auth, stop=self._stopped)
        return Repository(self._session, self._reference)

    def _download(self, layer: Descriptor, path: str, loop: asyncio.AbstractEventLoop) -> None:
        name = _short(layer)
        last = 0.0

        def told(size: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= _TELL_EVERY or size == layer.size:
                last = now
                progress = Transfer(status="Downloading", id=name, current=size, total=layer.size)
                loop.call_soon_threadsafe(self._told, progress)

        try:
            self._repository.download(layer, path, told)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            raise

    async def _thread(self, function: Callable[..., T], *arguments: object, undo: str = "") -> T:
        """Run in a thread. Where nobody waits any more, it is told to stop, and the file `undo` goes with its end."""
        future = self._pulls.thread(function, *arguments)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            self._stopped.set()
            if undo:
                future.add_done_callback(lambda _: _remove(undo))
            raise


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _short(layer: Descriptor) -> str:
    return layer.digest.partition(":")[2][:12]


def _resolve(reference: Reference, policy: Policy, auth: RegistryAuth) -> ResolvedImage:
    from stackfile.registry.resolve import resolve

    return resolve(reference, policy, auth)


def _check(domain: str, policy: Policy, auth: RegistryAuth) -> None:
    from stackfile.registry.session import Session

    session = Session(domain, policy, auth)
    try:
        with session.get("/v2/", scope="") as response:
            if response.status_code != 200:
                raise ActionError("pull-failed", f"{domain} is no registry", cause=f"HTTP {response.status_code}")
    finally:
        session.close()
