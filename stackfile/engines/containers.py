"""ContainerProvider: a stack's resources by means of any Engine that holds containers.

One method a kind of resource and action, found by name in a table. All are idempotent: what is done is no error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

import stackfile
from stackfile.engines import observing, readiness, rolling, rollout, strategies
from stackfile.engines.together import finish_all
from stackfile.errors import ActionError, ConflictError, NotFoundError
from stackfile.images import references
from stackfile.model import labels
from stackfile.model.container import ContainerRecord, ContainerSpec, NetworkRecord, VolumeRecord
from stackfile.model.image import RegistryAuth, Transfer
from stackfile.model.observed import Observed, Project
from stackfile.model.plan import Instance
from stackfile.model.stack import SECOND, NetworkResource, Rollout, Stack
from stackfile.provider.engine import Engine, LogQuery, Progress
from stackfile.provider.provider import Line, Result, Work


class ContainerProvider:
    """Implements `provider.provider.Provider`. `kind` names the engine in plans."""

    def __init__(self, engine: Engine, kind: str = "embedded") -> None:
        self._engine = engine
        self._kind = kind
        self._listing = readiness.Listing(engine)
        self._identity: dict[str, str] = {}

    def capabilities(self) -> Mapping[str, str]:
        return strategies.TABLE

    async def identity(self) -> dict[str, str]:
        if not self._identity:
            info = await self._engine.info()
            self._identity = {"kind": self._kind, "id": info.id, "api": "1"}
        return dict(self._identity)

    async def observe(self, name: str, stack: Stack | None, *, evaluate: bool = True) -> Observed:
        return await observing.observe(self._engine, name, stack, evaluate=evaluate)

    async def execute(self, work: Work, progress: Progress) -> Result:
        kind, _, name = work.action.address.partition(".")
        perform = _TABLE.get((kind, work.action.action))
        assert perform is not None, (kind, work.action.action)
        return await perform(self, work, name, progress)

    async def wait(self, project: str, service: str, indices: Sequence[int], condition: str, timeout: float) -> Result:
        records = readiness.replicas(await self._listing.of(project), service, indices)
        if not records:
            raise ActionError("not-running", f"service {service} has no container")
        return await readiness.wait(self._engine, records, condition, timeout)

    async def tail(self, project: str, service: str, lines: int) -> Sequence[Line]:
        found = []
        for record in readiness.replicas(await self._listing.of(project), service):
            async for chunk in self._engine.container_logs(record.id, LogQuery(tail=lines)):
                text = chunk.data.decode(errors="replace").rstrip("\n")
                found.append(Line(container=record.spec.name, text=text))
        return found

    async def project_put(self, project: Project) -> None:
        await self._engine.project_put(project)

    async def project_remove(self, name: str) -> None:
        await self._engine.file_remove(name)
        await _ignoring_missing(self._engine.project_remove(name))

    # ---------------------------------------------------------------- images

    async def build_image(self, work: Work, name: str, progress: Progress) -> Result:
        result = await self._engine.image_build(
            _stack(work).images,
            name,
            no_cache=work.no_cache,
            progress=progress,
            credentials=work.credentials,
        )
        cached = bool(result.steps) and all(step.cached for step in result.steps)
        return Result(word="cached" if cached else "built", detail=result.summary, image=result.image)

    async def pull_image(self, work: Work, name: str, progress: Progress) -> Result:
        """From its registry; what is here already is not fetched again."""
        before = await observing.image_id(self._engine, name)
        services = _stack(work).services.values()
        platform = next((item.platform for item in services if item.image == name and item.platform), "")

        def told(transfer: Transfer) -> None:
            if transfer.status in ("Download complete", "Pull complete"):
                progress(f"{transfer.id}: {transfer.status.lower()}")

        auth = work.credentials.get(references.parse(name).domain, RegistryAuth())
        record = await self._engine.image_pull(name, platform=platform, auth=auth, told=told)
        return Result(word="unchanged" if record.id == before else "pulled", image=record.id)

    async def remove_image(self, work: Work, name: str, progress: Progress) -> Result:
        await _ignoring_missing(self._engine.image_remove(work.action.detail or name))
        return Result(word="removed")

    # ---------------------------------------------------------------- networks

    async def create_network(self, work: Work, name: str, progress: Progress) -> Result:
        resource = _stack(work).networks[name]
        record = await self._network(resource.full_name)
        if record is None:
            await self._engine.network_create(_network_record(work.project, resource))
            record = await self._engine.network_get(resource.full_name)
        elif record.labels.get(labels.PROJECT) != work.project:
            raise ConflictError("name-taken", f"network {resource.full_name} exists and is not this project's")
        return Result(word="created", detail=", ".join(record.subnets))

    async def update_network(self, work: Work, name: str, progress: Progress) -> Result:
        """Made anew below its containers: they keep running, their connections break. Drift alone is put right."""
        resource = _stack(work).networks[name]
        if all(change.cause.kind == "drift" for change in work.action.changes):
            await self._engine.network_repair(resource.full_name)
            return Result(word="repaired")
        members = [
            record
            for record in await self._engine.container_list(project=work.project)
            if any(attachment.network == resource.full_name for attachment in record.spec.networks)
        ]
        for record in members:
            rest = tuple(item for item in record.spec.networks if item.network != resource.full_name)
            await self._engine.container_update(record.id, replace(record.spec, networks=rest))
        await _ignoring_missing(self._engine.network_remove(resource.full_name))
        await self._engine.network_create(_network_record(work.project, resource))
        for record in members:
            await self._engine.container_update(record.id, record.spec)
        return Result(word="updated")

    async def remove_network(self, work: Work, name: str, progress: Progress) -> Result:
        await _ignoring_missing(self._engine.network_remove(work.action.detail or name))
        return Result(word="removed")

    async def _network(self, name: str) -> NetworkRecord | None:
        try:
            return await self._engine.network_get(name)
        except NotFoundError:
            return None

    # ---------------------------------------------------------------- volumes

    async def update_volume(self, work: Work, name: str, progress: Progress) -> Result:
        """Its directory is there again, empty; who uses it restarts."""
        await self.create_volume(work, name, progress)
        return Result(word="repaired", detail="empty: its data was removed")

    async def create_volume(self, work: Work, name: str, progress: Progress) -> Result:
        resource = _stack(work).volumes[name]
        marks = {labels.PROJECT: work.project, labels.VOLUME: name, labels.VERSION: stackfile.__version__}
        record = VolumeRecord(
            name=resource.full_name,
            driver=resource.driver,
            labels={**resource.labels, **marks},
            options=dict(resource.options),
        )
        await self._engine.volume_create(record)
        return Result(word="created")

    async def recreate_volume(self, work: Work, name: str, progress: Progress) -> Result:
        """Its data is lost (the plan has asked for that); containers that use it go first."""
        full_name = _stack(work).volumes[name].full_name
        for record in await self._engine.container_list(project=work.project):
            if full_name in record.volumes.values():
                await self._remove(work, record.id)
        await _ignoring_missing(self._engine.volume_remove(full_name))
        await self.create_volume(work, name, progress)
        return Result(word="recreated")

    async def remove_volume(self, work: Work, name: str, progress: Progress) -> Result:
        await _ignoring_missing(self._engine.volume_remove(work.action.detail or name))
        return Result(word="removed")

    # ---------------------------------------------------------------- contents

    async def put_config(self, work: Work, name: str, progress: Progress) -> Result:
        """Store its content, and those that differ by replica."""
        keys = {}
        for stored, data in observing.config_contents(_stack(work)).items():
            if stored == name or stored.startswith(f"{name}@"):
                keys[f"config.{stored}"] = await self._engine.file_put(work.project, "config", stored, data)
        return Result(word="updated" if work.action.action == "update" else "created", keys=keys)

    async def put_secret(self, work: Work, name: str, progress: Progress) -> Result:
        secret = _stack(work).secrets[name]
        key = await self._engine.secret_resolve(work.project, name, secret.content, secret.generate, create=True)
        word = {"generate": "generated", "update": "updated"}.get(work.action.action, "created")
        detail = "kept until `down -v`" if word == "generated" else ""
        return Result(word=word, detail=detail, keys={f"secret.{name}": key})

    async def remove_content(self, work: Work, name: str, progress: Progress) -> Result:
        kind = work.action.address.partition(".")[0]
        for stored in await self._engine.file_names(work.project, kind):
            if stored == name or stored.startswith(f"{name}@"):
                await self._engine.file_remove(work.project, kind, stored)
        return Result(word="removed")

    # ---------------------------------------------------------------- services

    async def create_service(self, work: Work, name: str, progress: Progress) -> Result:
        await finish_all(self._create(work, instance) for instance in work.action.instances)
        return Result(word="started" if work.start else "created")

    async def _create(self, work: Work, instance: Instance) -> None:
        identity = await self._engine.container_create(work.specs[instance.index])
        if work.start:
            await self._engine.container_start(identity)

    async def recreate_service(self, work: Work, name: str, progress: Progress) -> Result:
        """In batches, each healthy before the next; what fails leaves the old container running."""
        service = _stack(work).services[name]
        before: dict[int, ContainerSpec] = {}
        now = {instance.index: instance.container for instance in work.action.instances}

        async def put(index: int, spec: ContainerSpec, policy: Rollout) -> None:
            now[index] = await rollout.replace_container(
                self._engine,
                now[index],
                spec,
                timeout=work.timeout,
                stop_timeout=work.stop_timeout,
                start=work.start,
                progress=progress,
                start_first=policy.order == "start-first",
                monitor=policy.monitor / SECOND,
            )

        async def change(instance: Instance) -> None:
            record = await _existing(self._engine, instance.container)
            if record is not None:
                before[instance.index] = record.spec
            await put(instance.index, work.specs[instance.index], service.update)

        async def put_back(instance: Instance) -> None:
            if instance.index in before:
                await put(instance.index, before[instance.index], service.rollback)

        await rolling.roll(work.action.instances, service.update, change, put_back, service.rollback)
        return Result(word="recreated")

    async def restart_service(self, work: Work, name: str, progress: Progress) -> Result:
        """One at a time, each healthy before the next; with new specs where the plan has some."""

        async def change(instance: Instance) -> None:
            await self._update(work, instance)
            await self._engine.container_restart(instance.container, timeout=work.stop_timeout)
            if work.specs:
                await readiness.healthy(self._engine, instance.container, work.timeout)

        service = work.stack.services.get(name) if work.stack else None
        policy = service.update if service else Rollout()
        await rolling.roll(work.action.instances, policy, change, None, policy)
        return Result(word="restarted")

    async def update_service(self, work: Work, name: str, progress: Progress) -> Result:
        signals = list(dict.fromkeys(change.signal for change in work.action.changes if change.signal))
        for instance in work.action.instances:
            await self._update(work, instance)
            for signal in signals:
                await self._kill(instance.container, signal)
        return Result(word="updated", detail=f"{', '.join(signals)} sent" if signals else "")

    async def start_service(self, work: Work, name: str, progress: Progress) -> Result:
        for instance in work.action.instances:
            await self._update(work, instance)
        await finish_all(self._engine.container_start(item.container) for item in work.action.instances)
        return Result(word="started")

    async def stop_service(self, work: Work, name: str, progress: Progress) -> Result:
        await finish_all(
            _ignoring_missing(self._engine.container_stop(item.container, timeout=work.stop_timeout))
            for item in work.action.instances
        )
        return Result(word="stopped")

    async def kill_service(self, work: Work, name: str, progress: Progress) -> Result:
        signal = work.signal or "SIGKILL"
        await finish_all(self._kill(item.container, signal) for item in work.action.instances)
        return Result(word="killed", detail=signal)

    async def remove_service(self, work: Work, name: str, progress: Progress) -> Result:
        await finish_all(self._remove(work, item.container) for item in work.action.instances)
        return Result(word="removed")

    async def _update(self, work: Work, instance: Instance) -> None:
        """Give a container its new spec, where it has one. A new name is a rename, whatever else changes."""
        spec = work.specs.get(instance.index)
        if spec is None:
            return
        record = await self._engine.container_get(instance.container)
        if record.spec.name != spec.name:
            await self._engine.container_rename(record.id, spec.name)
        # Mounts never change in place: those of a carried-over anonymous volume stay as they were recorded.
        await self._engine.container_update(record.id, replace(spec, mounts=record.spec.mounts))

    async def _kill(self, container: str, signal: str) -> None:
        try:
            await self._engine.container_kill(container, signal)
        except ActionError as error:
            if error.reason not in ("not-running", "not-found"):
                raise

    async def _remove(self, work: Work, container: str) -> None:
        try:
            await self._engine.container_stop(container, timeout=work.stop_timeout)
            await self._engine.container_remove(container, force=True, volumes=work.volumes)
        except NotFoundError:
            return


async def _ignoring_missing(work: Awaitable[object]) -> None:
    """What is not there any more needs no removal."""
    try:
        await work
    except NotFoundError:
        return


async def _existing(engine: Engine, ref: str) -> ContainerRecord | None:
    try:
        return await engine.container_get(ref) if ref else None
    except NotFoundError:
        return None


def _stack(work: Work) -> Stack:
    assert work.stack is not None, work.action.address
    return work.stack


def _network_record(project: str, resource: NetworkResource) -> NetworkRecord:
    marks = {labels.PROJECT: project, labels.NETWORK: resource.name, labels.VERSION: stackfile.__version__}
    return NetworkRecord(
        id="",
        name=resource.full_name,
        driver=resource.driver,
        subnets=resource.subnets,
        gateways=resource.gateways,
        internal=resource.internal,
        attachable=resource.attachable,
        enable_ipv6=resource.enable_ipv6,
        labels={**resource.labels, **marks},
        options=dict(resource.options),
        ip_ranges=resource.ip_ranges,
        reserved=resource.reserved,
    )


_Perform = Callable[[ContainerProvider, Work, str, Progress], Awaitable[Result]]

_TABLE: dict[tuple[str, str], _Perform] = {
    ("image", "build"): ContainerProvider.build_image,
    ("image", "pull"): ContainerProvider.pull_image,
    ("image", "remove"): ContainerProvider.remove_image,
    ("network", "create"): ContainerProvider.create_network,
    ("network", "update"): ContainerProvider.update_network,
    ("network", "remove"): ContainerProvider.remove_network,
    ("volume", "create"): ContainerProvider.create_volume,
    ("volume", "recreate"): ContainerProvider.recreate_volume,
    ("volume", "update"): ContainerProvider.update_volume,
    ("volume", "remove"): ContainerProvider.remove_volume,
    ("config", "create"): ContainerProvider.put_config,
    ("config", "update"): ContainerProvider.put_config,
    ("config", "remove"): ContainerProvider.remove_content,
    ("secret", "create"): ContainerProvider.put_secret,
    ("secret", "update"): ContainerProvider.put_secret,
    ("secret", "generate"): ContainerProvider.put_secret,
    ("secret", "remove"): ContainerProvider.remove_content,
    ("service", "create"): ContainerProvider.create_service,
    ("service", "recreate"): ContainerProvider.recreate_service,
    ("service", "restart"): ContainerProvider.restart_service,
    ("service", "update"): ContainerProvider.update_service,
    ("service", "start"): ContainerProvider.start_service,
    ("service", "stop"): ContainerProvider.stop_service,
    ("service", "kill"): ContainerProvider.kill_service,
    ("service", "remove"): ContainerProvider.remove_service,
}
