"""The composition root of the engine: who is made of whom, in which order they open and close."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from typing import NamedTuple

from stackfile.build.builder import Builder
from stackfile.build.contexts import ContextStore
from stackfile.engines.embedded import roots
from stackfile.engines.embedded.archives import Archives
from stackfile.engines.embedded.bus import Bus
from stackfile.engines.embedded.cleanups import Cleanups
from stackfile.engines.embedded.containers import Containers
from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.discovery import Discovery
from stackfile.engines.embedded.doctor import Doctor
from stackfile.engines.embedded.drift import DriftFinder
from stackfile.engines.embedded.execs import Execs
from stackfile.engines.embedded.exits import ExitRouter, Receivers
from stackfile.engines.embedded.files import FileStore
from stackfile.engines.embedded.fsck.fsck import Fsck
from stackfile.engines.embedded.fsck.kernel import KernelFaults
from stackfile.engines.embedded.fsck.network import NetworkFaults
from stackfile.engines.embedded.images import Images
from stackfile.engines.embedded.imports import Imports
from stackfile.engines.embedded.info import Info
from stackfile.engines.embedded.journal import RunJournal
from stackfile.engines.embedded.launcher import Launcher
from stackfile.engines.embedded.leftovers import Leftovers
from stackfile.engines.embedded.lifecycle import Lifecycle
from stackfile.engines.embedded.mending import Mender
from stackfile.engines.embedded.mounts import Mounts
from stackfile.engines.embedded.namespaces import Namespaces
from stackfile.engines.embedded.networks import Networks
from stackfile.engines.embedded.pool import WorkerPool
from stackfile.engines.embedded.ports import Ports
from stackfile.engines.embedded.projects import Projects
from stackfile.engines.embedded.pulls import Pulls
from stackfile.engines.embedded.recovery import Recovery
from stackfile.engines.embedded.registry import Registry
from stackfile.engines.embedded.rootfiles import RootFiles
from stackfile.engines.embedded.runner import Runner
from stackfile.engines.embedded.stock import Stock
from stackfile.engines.embedded.streams import Readers, Streams
from stackfile.engines.embedded.supervise import Supervision
from stackfile.engines.embedded.trash import Trash
from stackfile.engines.embedded.update import Update
from stackfile.engines.embedded.volumes import Volumes
from stackfile.engines.embedded.watching import FirewallWatch
from stackfile.images import durable
from stackfile.images.snapshots import Snapshots
from stackfile.images.store import ImageStore
from stackfile.network.manager import NetworkManager
from stackfile.network.resolver_client import ResolverClient
from stackfile.paths import RunPaths, StatePaths, ensure_private
from stackfile.registry import endpoint
from stackfile.runtime.cgroup import Cgroups
from stackfile.runtime.machine import Machine, observe
from stackfile.runtime.shim_client import ShimClient
from stackfile.settings import Settings
from stackfile.store.run import RunStore
from stackfile.store.state import StateStore
from stackfile.supervisor.client import Supervisor


@dataclass(slots=True, kw_only=True)
class Composition:
    """All collaborators of one engine."""

    core: Core
    lock: int
    registry: Registry
    bus: Bus
    trash: Trash
    cleanups: Cleanups
    stock: Stock
    pool: WorkerPool
    readers: Readers
    builder: Builder
    images: Images
    rootfiles: RootFiles
    volumes: Volumes
    networks: Networks
    containers: Containers
    lifecycle: Lifecycle
    update: Update
    mender: Mender
    supervision: Supervision
    streams: Streams
    execs: Execs
    exits: ExitRouter
    files: FileStore
    projects: Projects
    info: Info
    drift: DriftFinder
    fsck: Fsck
    doctor: Doctor
    recovery: Recovery
    firewalls: FirewallWatch

    async def open(self) -> None:
        """Read the databases, connect to the other processes, recover."""
        self.builder.recover()
        self.files.sweep()
        self.registry.load()
        self.networks.load()
        await self.core.resolver.connect()
        await self.core.resolver.hand_back()
        await self.core.shim.connect()
        await self.recovery.run()
        self.firewalls.open()

    def busy(self) -> list[str]:
        """What goes on without anybody waiting for it: deletions, idle helpers, health checks that begin, restarts."""
        found = []
        if self.cleanups.pending:
            found.append("clean-ups")
        if self.trash.pending:
            found.append("deletions")
        if self.pool.workers:
            found.append("worker processes")
        if self.networks.default_idles:
            found.append("the default network")
        for container in self.registry.all():
            if container.state.status == "restarting":
                found.append(f"restart of {container.name}")
            elif container.alive and container.state.health.status == "starting":
                found.append(f"health of {container.name}")
        return found

    async def close(self) -> None:
        """Let go; containers, shim and resolver run on."""
        await self.firewalls.close()
        self.recovery.close()
        self.supervision.close()
        self.bus.close()
        await self.exits.drain()
        await self.cleanups.drain()
        await self.stock.close()
        self.networks.drop_default()
        self.core.cgroups.remove_parent()
        self.pool.shutdown()
        self.readers.flush()
        self.trash.close()
        await self.core.shim.close()
        await self.core.resolver.close()
        self.core.network.close()
        self.core.supervisor.close()
        self.core.run.close()
        self.core.state.close()
        os.close(self.lock)

    async def settle(self) -> None:
        """Finish the clean-ups under way and give up what is made ahead: what is left then is what is in use."""
        await self.cleanups.drain()
        await self.stock.drain()


def compose(settings: Settings, supervisor: Supervisor) -> Composition:
    """Take the roots and build everything. EngineError (`engine-locked`), ActionError (`database-newer`)."""
    paths = StatePaths(settings.root)
    roots.prepare(paths)
    ensure_private(settings.run)
    lock = roots.lock(paths)
    try:
        exits = ExitRouter()
        return _assemble(_core(settings, supervisor, paths, exits), lock, exits)
    except BaseException:
        os.close(lock)
        raise


def _core(settings: Settings, supervisor: Supervisor, paths: StatePaths, exits: ExitRouter) -> Core:
    run_paths = RunPaths(settings.run)
    state = StateStore(paths.database, secrets.token_hex(16))
    run = RunStore(run_paths.database, roots.boot_id())
    images = ImageStore(paths, state.images)
    return Core(
        settings=settings,
        paths=paths,
        run_paths=run_paths,
        key=roots.key(paths),
        state=state,
        run=run,
        supervisor=supervisor,
        shim=ShimClient(run_paths.shim, exits.arrived, exits.arrived),
        resolver=ResolverClient(run_paths.resolver),
        network=NetworkManager(
            prefix=settings.bridge_prefix,
            table=settings.nft_table,
            pool=settings.address_pool,
            pool6=settings.address_pool6,
            supervisor=supervisor,
            journal=RunJournal(run),
        ),
        cgroups=Cgroups(settings.cgroup_parent),
        images=images,
        snapshots=Snapshots(paths, images),
    )


class _Resources(NamedTuple):
    """What containers are made with."""

    files: FileStore
    volumes: Volumes
    networks: Networks
    ports: Ports
    discovery: Discovery
    launcher: Launcher
    mounts: Mounts
    namespaces: Namespaces
    stock: Stock


def _resources(core: Core, registry: Registry, bus: Bus, trash: Trash, machine: Machine) -> _Resources:
    files = FileStore(core.paths.files, core.key, core.state.files, registry.file_keys)
    volumes = Volumes(core.paths.volumes, core.state, registry, trash, bus)
    networks = Networks(core.state, core.run, core.network, registry, bus)
    ports = Ports(core.network, core.run, registry, networks, core.resolver)
    discovery = Discovery(core.resolver, registry, networks)
    mounts = Mounts(core, volumes, files)
    stock = Stock(core, lambda: any(container.alive for container in registry.all()))
    namespaces = Namespaces(core, networks, registry, stock)
    launcher = Launcher(core, registry, mounts, namespaces, discovery, ports, stock, machine)
    return _Resources(files, volumes, networks, ports, discovery, launcher, mounts, namespaces, stock)


def _assemble(core: Core, lock: int, exits: ExitRouter) -> Composition:
    machine = observe()
    bus = Bus(core.state.events)
    registry = Registry(core.state)
    trash = Trash(core.paths.temporary)
    pool = WorkerPool(os.cpu_count() or 1, bereaved=lambda pid: durable.sweep_of(core.paths.temporary, pid))
    readers = Readers()
    made = _resources(core, registry, bus, trash, machine)
    networks, ports, launcher = made.networks, made.ports, made.launcher

    def discard(identity: str, directory: str) -> None:
        readers.when_unread(identity, lambda: trash.discard(directory))

    containers = Containers(core, registry, networks, made.volumes, made.mounts, ports, bus, launcher.cleanups, discard)
    execs = Execs(core, launcher, bus)
    supervision = Supervision(registry, execs, ports, bus, launcher.image)
    lifecycle = Lifecycle(core, registry, launcher, supervision, execs, ports, bus, containers)
    mender = Mender(core, registry, networks, made.namespaces, made.discovery, ports, made.mounts)
    runner = Runner(core, networks, trash, machine)
    contexts = ContextStore(core.paths, core.images.blobs)
    builder = Builder(core.images, contexts, runner, pool)
    imports = Imports(core.images, pool)
    policy = endpoint.policy(core.settings.insecure_registries, core.settings.registry_ca)
    pulls = Pulls(core.images, imports, policy)
    exits.connect(Receivers(core.shim, registry, lifecycle, execs, runner))
    leftovers = Leftovers(core, registry, networks, trash)
    recovery = Recovery(
        core,
        registry,
        networks,
        made.discovery,
        ports,
        launcher,
        lifecycle,
        supervision,
        made.volumes,
        runner,
        leftovers,
        exits,
        execs,
        made.namespaces,
    )
    drift = DriftFinder(core, registry, networks, ports, made.volumes, made.mounts, made.namespaces, mender)
    kernel = KernelFaults(core, registry, networks, launcher, lifecycle, runner, readers, recovery, leftovers)
    network = NetworkFaults(core, registry, networks, ports, made.namespaces, made.stock, drift, mender, kernel.busy)
    return Composition(
        core=core,
        lock=lock,
        registry=registry,
        bus=bus,
        trash=trash,
        cleanups=launcher.cleanups,
        stock=made.stock,
        pool=pool,
        readers=readers,
        builder=builder,
        images=Images(core.images, contexts, builder, registry, bus, pulls, Archives(core.images, imports)),
        rootfiles=RootFiles(core, launcher, made.volumes, pool, bus),
        volumes=made.volumes,
        networks=networks,
        containers=containers,
        lifecycle=lifecycle,
        update=Update(
            core,
            registry,
            launcher,
            made.mounts,
            networks,
            made.namespaces,
            made.discovery,
            ports,
            supervision,
            mender,
            bus,
        ),
        mender=mender,
        supervision=supervision,
        streams=Streams(core, readers),
        execs=execs,
        exits=exits,
        files=made.files,
        projects=Projects(core.state, bus),
        info=Info(core, registry),
        drift=drift,
        fsck=Fsck(core, pool, registry, networks, made.volumes, made.files, contexts, trash, kernel, network),
        doctor=Doctor(core),
        recovery=recovery,
        firewalls=FirewallWatch(core, networks, mender),
    )
