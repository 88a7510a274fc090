"""EmbeddedEngine: the facade. Every method delegates to the collaborator that owns the concept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from stackfile.engines.embedded.composition import Composition, compose
from stackfile.images.changes import usage
from stackfile.model.container import (
    ContainerRecord,
    ContainerSpec,
    EngineInfo,
    ExecRecord,
    ExecSpec,
    ExitStatus,
    NetworkRecord,
    Stats,
    VolumeRecord,
)
from stackfile.model.event import Event
from stackfile.model.image import BuildEvaluation, BuildResult, ImageConfig, ImageRecord, RegistryAuth, ResolvedImage
from stackfile.model.observed import Drift, Fault, Project
from stackfile.model.stack import Attachment, Generate, ImageResource, SecretRef
from stackfile.paths import RunPaths
from stackfile.provider.engine import (
    BuildStep,
    ImageLayer,
    LogChunk,
    LogQuery,
    PathStat,
    Progress,
    Streams,
    Transferred,
)
from stackfile.settings import Settings
from stackfile.supervisor.client import Supervisor


class EmbeddedEngine:
    """Implements `provider.engine.Engine` with our own runtime, network, images and build.

    Needs the supervisor, shim and resolver of the same settings to be running. Lives in one asyncio loop.
    """

    def __init__(self, settings: Settings, supervisor: Supervisor | None = None) -> None:
        """`supervisor`: the line to it, by default one that does nothing when the supervisor dies."""
        self.settings = settings
        self._supervisor = supervisor or Supervisor(RunPaths(settings.run).supervisor)
        self._composition: Composition | None = None

    @property
    def _parts(self) -> Composition:
        assert self._composition is not None, "engine is not open"
        return self._composition

    @property
    def id(self) -> str:
        """The engine's id: 32 hex digits, kept in the state root."""
        return self._parts.core.state.engine_id

    async def open(self) -> None:
        """Take the roots (EngineError `engine-locked` when another daemon has them) and recover.

        Recovery compares databases, kernel, shim and supervisor: what runs is adopted, what was half done is finished
        or undone, what nobody owns is released, and after a reboot containers start again by policy.
        """
        assert self._composition is None, "engine is open already"
        composition = compose(self.settings, self._supervisor)
        try:
            await composition.open()
        except BaseException:
            await composition.close()
            raise
        self._composition = composition

    async def close(self) -> None:
        """Let go of everything; containers keep running. Where none runs, bridges and rules go until the next open."""
        composition, self._composition = self._composition, None
        if composition is not None:
            if not any(container.alive for container in composition.registry.all()):
                composition.core.network.teardown()
            await composition.close()

    async def settle(self) -> None:
        """Finish what happens in the background and give up what is made ahead: what is left is in use."""
        await self._parts.settle()

    async def info(self) -> EngineInfo:
        return self._parts.info.engine()

    # ---- images

    async def image_list(self) -> Sequence[ImageRecord]:
        return self._parts.images.list()

    async def image_get(self, ref: str) -> ImageRecord:
        return self._parts.images.get(ref)

    async def image_tag(self, ref: str, tag: str) -> None:
        self._parts.images.tag(ref, tag)

    async def image_remove(self, ref: str, *, force: bool = False) -> Sequence[tuple[str, str]]:
        return await self._parts.images.remove(ref, force)

    async def image_pull(
        self,
        ref: str,
        *,
        platform: str = "",
        auth: RegistryAuth = RegistryAuth(),  # noqa: B008
        told: Transferred | None = None,
    ) -> ImageRecord:
        return await self._parts.images.pull(ref, platform, auth, told)

    async def image_resolve(self, ref: str, auth: RegistryAuth) -> ResolvedImage:
        return await self._parts.images.resolve(ref, auth)

    async def registry_check(self, domain: str, auth: RegistryAuth) -> None:
        await self._parts.images.check_registry(domain, auth)

    async def image_load(
        self, data: AsyncIterator[bytes], *, platform: str = "", told: Transferred | None = None
    ) -> Sequence[ImageRecord]:
        return await self._parts.images.load(data, platform, told)

    async def image_save(self, refs: Sequence[str], *, compress: str = "") -> AsyncIterator[bytes]:
        return await self._parts.images.save(refs, compress)

    async def image_evaluate(self, images: Mapping[str, ImageResource]) -> dict[str, BuildEvaluation]:
        return await self._parts.images.evaluate(images)

    async def image_build(
        self,
        images: Mapping[str, ImageResource],
        name: str,
        *,
        no_cache: bool = False,
        progress: Progress | None = None,
        report: Callable[[BuildStep], None] | None = None,
        credentials: Mapping[str, RegistryAuth] = {},
    ) -> BuildResult:
        return await self._parts.images.build(
            images, name, no_cache=no_cache, progress=progress, report=report, credentials=credentials
        )

    # ---- build contexts

    async def context_missing(self, digest: str, manifest: bytes) -> Sequence[str]:
        return await self._parts.images.context_missing(digest, manifest)

    async def context_archive(self, data: AsyncIterator[bytes], dockerfile: str) -> tuple[str, str | None]:
        return await self._parts.images.context_archive(data, dockerfile)

    async def blob_put(self, digest: str, data: AsyncIterator[bytes]) -> None:
        await self._parts.images.blob_put(digest, data)

    # ---- containers

    async def container_create(self, spec: ContainerSpec) -> str:
        return await self._parts.containers.create(spec)

    async def container_start(self, ref: str) -> bool:
        return await self._parts.lifecycle.start(self._parts.registry.find(ref))

    async def container_stop(self, ref: str, *, timeout: float | None = None, signal: str = "") -> bool:
        return await self._parts.lifecycle.stop(self._parts.registry.find(ref), timeout, signal)

    async def container_restart(self, ref: str, *, timeout: float | None = None, signal: str = "") -> None:
        await self._parts.lifecycle.restart(self._parts.registry.find(ref), timeout, signal)

    async def container_kill(self, ref: str, signal: str = "SIGKILL") -> None:
        await self._parts.lifecycle.kill(self._parts.registry.find(ref), signal)

    async def container_pause(self, ref: str) -> None:
        await self._parts.lifecycle.pause(self._parts.registry.find(ref))

    async def container_unpause(self, ref: str) -> None:
        await self._parts.lifecycle.unpause(self._parts.registry.find(ref))

    async def container_remove(self, ref: str, *, force: bool = False, volumes: bool = False) -> None:
        await self._parts.lifecycle.remove(self._parts.registry.find(ref), force=force, volumes=volumes)

    async def container_rename(self, ref: str, name: str) -> None:
        await self._parts.update.rename(self._parts.registry.find(ref), name)

    async def container_get(self, ref: str) -> ContainerRecord:
        return self._parts.containers.record(self._parts.registry.find(ref))

    async def container_list(self, *, project: str = "", all: bool = True) -> Sequence[ContainerRecord]:  # noqa: A002
        if project:
            await self._parts.containers.await_reports(project)
        return self._parts.containers.list(project, all)

    async def container_update(self, ref: str, spec: ContainerSpec) -> None:
        await self._parts.update.update(self._parts.registry.find(ref), spec)

    async def container_wait(self, ref: str, condition: str = "not-running") -> ExitStatus:
        return await self._parts.containers.wait(self._parts.registry.find(ref), condition)

    async def container_wait_healthy(self, ref: str, timeout: float) -> ContainerRecord:
        container = self._parts.registry.find(ref)
        await self._parts.supervision.wait_healthy(container, timeout)
        return self._parts.containers.record(container)

    async def container_resize(self, ref: str, rows: int, columns: int) -> None:
        await self._parts.streams.resize(self._parts.registry.find(ref), rows, columns)

    async def container_stats(self, ref: str) -> Stats:
        return self._parts.info.stats(self._parts.registry.find(ref))

    async def container_top(self, ref: str, options: str = "") -> tuple[list[str], list[list[str]]]:
        return await self._parts.info.top(self._parts.registry.find(ref), options)

    def container_logs(self, ref: str, query: LogQuery) -> AsyncIterator[LogChunk]:
        return self._parts.streams.logs(self._parts.registry.find(ref), query)

    async def container_attach(
        self, ref: str, *, stdin: bool, stdout: bool = True, stderr: bool = True, logs: bool = False
    ) -> Streams:
        container = self._parts.registry.find(ref)
        return await self._parts.streams.attach(container, stdin=stdin, stdout=stdout, stderr=stderr, logs=logs)

    # ---- files of containers

    async def container_path(self, ref: str, path: str) -> PathStat:
        return await self._parts.rootfiles.stat(self._parts.registry.find(ref), path)

    async def container_read(self, ref: str, path: str) -> tuple[PathStat, AsyncIterator[bytes]]:
        return await self._parts.rootfiles.read(self._parts.registry.find(ref), path)

    async def container_write(
        self, ref: str, path: str, data: AsyncIterator[bytes], *, keep_types: bool = False, own: bool = False
    ) -> None:
        container = self._parts.registry.find(ref)
        await self._parts.rootfiles.write(container, path, data, keep_types=keep_types, own=own)

    async def container_changes(self, ref: str) -> Sequence[tuple[int, str]]:
        return await self._parts.rootfiles.changes(self._parts.registry.find(ref))

    async def container_usage(self, ref: str) -> int:
        return await self._parts.rootfiles.usage(self._parts.registry.find(ref))

    async def container_export(self, ref: str) -> AsyncIterator[bytes]:
        return self._parts.rootfiles.export(self._parts.registry.find(ref))

    async def container_commit(
        self, ref: str, config: ImageConfig, *, tag: str = "", comment: str = "", author: str = ""
    ) -> ImageRecord:
        container = self._parts.registry.find(ref)
        return await self._parts.rootfiles.commit(container, config, tag=tag, comment=comment, author=author)

    async def image_import(
        self, data: AsyncIterator[bytes], config: ImageConfig, *, tag: str = "", comment: str = ""
    ) -> ImageRecord:
        return await self._parts.rootfiles.import_image(data, config, tag=tag, comment=comment)

    def image_layers(self, ref: str) -> Sequence[ImageLayer]:
        return self._parts.images.layers(ref)

    # ---- exec

    async def exec_create(self, ref: str, spec: ExecSpec) -> str:
        return self._parts.execs.create(self._parts.registry.find(ref), spec)

    async def exec_start(self, exec_id: str, *, detach: bool = False) -> Streams | None:
        return await self._parts.execs.start(exec_id, detach)

    async def exec_get(self, exec_id: str) -> ExecRecord:
        return self._parts.execs.get(exec_id)

    async def exec_resize(self, exec_id: str, rows: int, columns: int) -> None:
        await self._parts.execs.resize(exec_id, rows, columns)

    # ---- networks and volumes

    async def network_create(self, spec: NetworkRecord) -> str:
        return self._parts.networks.create(spec).id

    async def network_get(self, ref: str) -> NetworkRecord:
        return self._parts.networks.find(ref)

    async def network_list(self, *, project: str = "") -> Sequence[NetworkRecord]:
        return self._parts.networks.list(project)

    async def network_repair(self, ref: str) -> None:
        await self._parts.mender.network(ref)

    async def network_remove(self, ref: str) -> None:
        self._parts.networks.remove(ref)

    async def network_connect(self, ref: str, container: str, attachment: Attachment) -> None:
        await self._parts.update.connect(self._parts.registry.find(container), ref, attachment)

    async def network_disconnect(self, ref: str, container: str, *, force: bool = False) -> None:
        await self._parts.update.disconnect(self._parts.registry.find(container), ref, force)

    async def volume_create(self, spec: VolumeRecord) -> VolumeRecord:
        return self._parts.volumes.create(spec)

    async def volume_get(self, name: str) -> VolumeRecord:
        return self._parts.volumes.get(name)

    async def volume_list(self, *, project: str = "") -> Sequence[VolumeRecord]:
        return self._parts.volumes.list(project)

    async def volume_usage(self, name: str) -> int:
        return await asyncio.to_thread(usage, self._parts.volumes.get(name).mountpoint)

    async def volume_remove(self, name: str) -> None:
        self._parts.volumes.remove(name)

    # ---- content of configs and secrets

    async def file_key(self, data: bytes) -> str:
        return self._parts.files.key(data)

    async def file_put(self, project: str, kind: str, name: str, data: bytes) -> str:
        return self._parts.files.put(project, kind, name, data)

    async def secret_resolve(
        self,
        project: str,
        name: str,
        content: tuple[str | SecretRef, ...] | None,
        generate: Generate | None,
        *,
        create: bool,
    ) -> str:
        return self._parts.files.resolve_secret(project, name, content, generate, create=create)

    async def file_remove(self, project: str, kind: str = "", name: str = "") -> None:
        self._parts.files.remove(project, kind, name)

    async def file_names(self, project: str, kind: str) -> Sequence[str]:
        return self._parts.files.names(project, kind)

    # ---- projects

    async def project_get(self, name: str) -> Project | None:
        return self._parts.projects.get(name)

    async def project_put(self, project: Project) -> None:
        self._parts.projects.put(project)

    async def project_remove(self, name: str) -> None:
        self._parts.projects.remove(name)

    async def project_list(self) -> Sequence[Project]:
        return self._parts.projects.list()

    # ---- facts and events

    async def drift(self, project: str) -> Sequence[Drift]:
        return await self._parts.drift.find(project)

    async def doctor(self) -> Sequence[tuple[str, str, str, str]]:
        return await self._parts.doctor.check()

    async def fsck(self, *, repair: bool, quick: bool, progress: Progress) -> Sequence[Fault]:
        return await self._parts.fsck.check(repair=repair, quick=quick, progress=progress)

    def busy(self) -> Sequence[str]:
        return self._parts.busy()

    def events(self, *, since: int = 0, follow: bool = True, until_ns: int = 0) -> AsyncIterator[Event]:
        return self._parts.bus.events(since=since, follow=follow, until_ns=until_ns)

    def publish(self, kind: str, action: str, identity: str, attributes: Mapping[str, str]) -> None:
        self._parts.bus.publish(kind, action, identity, attributes)
