"""Bringing a container up, step by step, and taking down what one leaves; every step can be undone."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from dataclasses import replace

from stackfile import log
from stackfile.engines.embedded import process
from stackfile.engines.embedded.background import spawn
from stackfile.engines.embedded.cleanup import step
from stackfile.engines.embedded.cleanups import Cleanups
from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.discovery import Discovery
from stackfile.engines.embedded.mounts import Mounts
from stackfile.engines.embedded.namespaces import SHARED, Namespaces
from stackfile.engines.embedded.ports import Ports
from stackfile.engines.embedded.registry import Container, Registry
from stackfile.engines.embedded.stock import Stock
from stackfile.errors import ActionError
from stackfile.images.snapshots import RootMount
from stackfile.model.image import ImageConfig
from stackfile.paths import ensure_private
from stackfile.runtime import account as accounts
from stackfile.runtime import devices
from stackfile.runtime.compile import compile_container
from stackfile.runtime.instructions import Account, BindMount, CgroupHandle, Instructions
from stackfile.runtime.machine import Machine
from stackfile.runtime.shim_client import Running
from stackfile.store.rows import RunningRow

INTENT = "engine.start"
_LOG = log.get("launcher")


class Launcher:
    """Starts containers and cleans up after them. The caller holds the container's lock."""

    def __init__(
        self,
        core: Core,
        registry: Registry,
        mounts: Mounts,
        namespaces: Namespaces,
        discovery: Discovery,
        ports: Ports,
        stock: Stock,
        machine: Machine,
    ) -> None:
        self._core = core
        self._registry = registry
        self._mounts = mounts
        self._namespaces = namespaces
        self._discovery = discovery
        self._ports = ports
        self._stock = stock
        self.cleanups = Cleanups()
        self.machine = machine
        self._instructions: dict[str, Instructions] = {}

    async def launch(self, container: Container) -> Running:
        """Start the container's program; returns once it was executed. Undoes everything when that fails."""
        await self.cleanups.finish(container.id)
        intent = self._core.run.begin(INTENT, container.id, "{}")
        try:
            running = await self._bring_up(container)
            self._core.run.put_running(RunningRow(container.id, running.pid, running.start_time))
        except BaseException:
            # Also when the caller is cancelled: what was begun must not be left in the kernel.
            await asyncio.shield(asyncio.ensure_future(self.teardown(container)))
            raise
        finally:
            with step(container.id, "intent"):
                self._core.run.done(intent)
        self._stock.replenish()
        return running

    def image(self, container: Container) -> ImageConfig:
        """The config of the container's image. Raises NotFoundError (`image-not-found`)."""
        return self._core.images.get(container.spec.image).config

    def instructions(self, container: Container) -> Instructions:
        """What the running container was started with; made again after a restart of this process."""
        known = self._instructions.get(container.id)
        if known is None:
            image = self.image(container)
            root = self._root(container)
            account = self.account(container, root, container.spec.user or image.user)
            files = self._mounts.write_files(container)
            handle = self._core.cgroups.handle(container.id)
            known = self._compile(container, image, root, account, files, handle, again=True)
            self._instructions[container.id] = known
        return known

    def account(self, container: Container, root: RootMount | None, user: str) -> Account:
        """`user` by the container's own /etc/passwd and /etc/group."""
        where = root or self._root(container)
        texts = [self._core.snapshots.read_file(where, f"/etc/{name}") or b"" for name in ("passwd", "group")]
        passwd, group = (text.decode(errors="replace") for text in texts)
        return accounts.resolve(user, passwd, group, container.spec.group_add)

    async def teardown(self, container: Container, *, keep_ports: bool = False) -> None:
        """Remove everything that a run of the container left outside of its own directory. Idempotent."""
        await self.cleanups.finish(container.id)
        self.retire(container, keep_ports=keep_ports)
        await self.cleanups.finish(container.id)

    def retire(self, container: Container, *, keep_ports: bool = False) -> None:
        """As `teardown`, but only what others could notice is done at once; the rest follows in the background."""
        container.reachable = False
        self._instructions.pop(container.id, None)
        with step(container.id, "ports"):
            if keep_ports:
                self._ports.refresh(container)
            else:
                self._ports.release(container)
        with step(container.id, "record"):
            self._core.run.delete_running(container.id)
        spawn(self._discovery.withdraw(container), f"names of {container.name}")
        self.cleanups.begin(container.id, lambda: self._clean(container))

    async def _clean(self, container: Container) -> None:
        with step(container.id, "names"):
            await self._core.resolver.forget(container.id)
        with step(container.id, "processes"):
            if self._core.cgroups.processes(container.id):
                self._core.cgroups.kill_all(container.id)
        with step(container.id, "network"):
            self._namespaces.close(container)
        with step(container.id, "shim"):
            await self._core.shim.release(container.id)
        with step(container.id, "files"):
            await asyncio.to_thread(self._remove, container.id)
        self._stock.rest_later()

    def _remove(self, identity: str) -> None:
        shutil.rmtree(self._core.run_paths.container(identity), ignore_errors=True)
        self._core.cgroups.remove(identity)

    # ---- inside

    async def _bring_up(self, container: Container) -> Running:
        spec = container.spec
        image = self.image(container)
        root = self._root(container)
        account = self.account(container, root, spec.user or image.user)
        ensure_private(self._core.run_paths.container(container.id))
        await self._mounts.prepare(container, image, root)
        files = self._mounts.write_files(container)
        _, allowed = devices.resolve(spec.devices)
        rules = devices.rules(allowed, spec.device_rules, privileged=spec.privileged)
        handle = self._core.cgroups.create(container.id, spec.resources, rules)
        # Each part is a few milliseconds of system calls: others have their turn in between. From its place in the
        # networks to `reachable` they have none, or a network could be removed from under it.
        await asyncio.sleep(0)
        published = self._ports.acquire(container, image)
        descriptor = self._namespaces.open(container)
        try:
            self._registry.place(container, published=published)
            self.write_etc(container)
            instructions = self._compile(container, image, root, account, files, handle)
            if container.place.endpoints and descriptor is not None:
                container.reachable = True
                spawn(self._discovery.announce(container), f"names of {container.name}")
            running = await self._core.shim.start(instructions, descriptor)
        finally:
            if descriptor is not None:
                os.close(descriptor)
        self._instructions[container.id] = instructions
        for warning in instructions.warnings:
            _LOG.warning("%s: %s", container.name, warning)
        return running

    def _root(self, container: Container) -> RootMount:
        return self._core.snapshots.prepare(container.id, container.spec.image)

    def _compile(
        self,
        container: Container,
        image: ImageConfig,
        root: RootMount,
        account: Account,
        files: tuple[BindMount, ...],
        handle: CgroupHandle,
        again: bool = False,
    ) -> Instructions:
        """`again`: for a container that runs. What it was given at its start may be gone, and is left out."""
        spec = container.spec
        run_dir = self._core.run_paths.container(container.id)
        return compile_container(
            spec,
            image,
            root,
            identity=container.id,
            hostname=self.hostname(container),
            environment=process.environment(spec, self._mounts.secrets(container)),
            mounts=(*(self._mounts.binds if again else self._binds)(container, image), *files),
            files_dir=f"{run_dir}/etc",
            log_dir=log_directory(self._core, container.id),
            run_dir=run_dir,
            account=account,
            machine=self.machine,
            cgroup=handle,
            network="host" if spec.network_mode == "host" else "join",
            devices=() if again else devices.resolve(spec.devices)[0],
            join_pid="" if again else self._joined(spec.pid_mode),
            join_ipc="" if again else self._joined(spec.ipc_mode),
            init=self._init() if spec.init and not again else self._core.settings.init,
        )

    def _init(self) -> str:
        """The program of the settings that is pid 1; "" for our own. Raises ActionError (`host-program-missing`)."""
        path = self._core.settings.init
        if path and not os.access(path, os.X_OK):
            raise ActionError(
                "host-program-missing",
                f"{path}, the program for `init: true`, cannot be executed",
                hint="STACKFILE_INIT names it when the engine starts; without, stackfile's own is taken",
            )
        return path

    def _joined(self, mode: str) -> str:
        """Id of the container whose namespace `mode` names."""
        return self._registry.find(mode.removeprefix(SHARED)).id if mode.startswith(SHARED) else ""

    def _binds(self, container: Container, image: ImageConfig) -> list[BindMount]:
        """Its own mounts, and those of the containers in `volumes_from`, which go over what its image declares."""
        found = {bind.target: bind for bind in self._mounts.binds(container, image)}
        own = {mount.target for mount in container.spec.mounts}
        for source in container.spec.volumes_from:
            name, _, mode = source.partition(":")
            other = self._registry.find(name)
            for bind in self._binds(other, self.image(other)):
                if bind.target not in own:
                    found[bind.target] = replace(bind, read_only=bind.read_only or mode == "ro")
        return list(found.values())

    def hostname(self, container: Container) -> str:
        """Its own, that of whose network it shares, or the short id."""
        mode = container.spec.network_mode
        if container.spec.hostname:
            return container.spec.hostname
        if mode == "host" or container.spec.uts_mode == "host":
            return socket.gethostname()
        if mode.startswith(SHARED):
            return self.hostname(self._registry.find(mode.removeprefix(SHARED)))
        return container.id[:12]

    def write_etc(self, container: Container) -> None:
        """hosts, hostname and resolv.conf; a container that shares a network shares these texts.

        Files that are there keep their inode: a running container sees the new text.
        """
        spec = container.spec
        texts = {"hostname": self.hostname(container) + "\n"}
        if spec.network_mode.startswith(SHARED):
            other = self._registry.find(spec.network_mode.removeprefix(SHARED))
            source = f"{self._core.run_paths.container(other.id)}/etc"
            texts |= {name: _read(f"{source}/{name}") for name in ("hosts", "resolv.conf")}
        else:
            endpoints = container.place.endpoints
            own = process.hosts(spec, self.hostname(container), endpoints)
            texts["hosts"] = _read("/etc/hosts") if spec.network_mode == "host" and not spec.extra_hosts else own
            texts["resolv.conf"] = process.resolv_conf(spec, _read("/etc/resolv.conf"), own_resolver=bool(endpoints))
        directory = f"{self._core.run_paths.container(container.id)}/etc"
        os.makedirs(directory, 0o755, exist_ok=True)
        for name, text in texts.items():
            _overwrite(f"{directory}/{name}", text)


def log_directory(core: Core, identity: str) -> str:
    """Where the log of a container lies."""
    return f"{core.paths.container(identity)}/logs"


def _overwrite(path: str, text: str) -> None:
    """Write, then cut: a reader never sees an empty file."""
    data = text.encode(errors="surrogateescape")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.pwrite(descriptor, data, 0)
        os.ftruncate(descriptor, len(data))
    finally:
        os.close(descriptor)


def _read(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""
