"""Build steps: a command in a container of its own that nothing remembers afterwards."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Mapping, Sequence

from stackfile.engines.embedded import names, process
from stackfile.engines.embedded.cleanup import step
from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.networks import Networks
from stackfile.engines.embedded.trash import Trash
from stackfile.images.snapshots import RootMount
from stackfile.model.container import ContainerSpec, Endpoint
from stackfile.model.image import ImageConfig
from stackfile.model.stack import Attachment, Mount, Resources
from stackfile.paths import ensure_private
from stackfile.provider.runner import StepRoot
from stackfile.resolver.table import Scope
from stackfile.runtime import account as accounts
from stackfile.runtime.compile import compile_container
from stackfile.runtime.instructions import BindMount, Instructions
from stackfile.runtime.logs import LogFollower
from stackfile.runtime.machine import Machine
from stackfile.runtime.shim_client import Exit

INTENT = "engine.step"


class Runner:
    """Implements `provider.runner.StepRunner` through the shim."""

    def __init__(self, core: Core, networks: Networks, trash: Trash, machine: Machine) -> None:
        self._core = core
        self._networks = networks
        self._trash = trash
        self._machine = machine
        self._waiting: dict[str, asyncio.Future[Exit]] = {}

    async def run(
        self,
        root: StepRoot,
        mounts: Sequence[Mount],
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        user: str = "",
        working_dir: str = "/",
        network: str = "default",
        extra_hosts: Sequence[str] = (),
        output: Callable[[bytes], None] | None = None,
    ) -> int:
        """Run `argv` isolated in `root` and return its exit code; `network` is default, none or host.

        Errors as ShimClient.start. Nothing of it is left, whatever happens.
        """
        identity = names.new_id()
        intent = self._core.run.begin(INTENT, identity, "{}")
        end: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._waiting[identity] = end
        spec = ContainerSpec(
            name=identity[:12],
            mounts=tuple(mount for mount in mounts if mount.type == "tmpfs"),
            user=user,
            working_dir=working_dir,
            network_mode="" if network == "default" else network,
            extra_hosts=tuple(extra_hosts),
        )
        try:
            return await self._run(identity, spec, root, mounts, tuple(argv), env, output, end)
        finally:
            del self._waiting[identity]
            await asyncio.shield(asyncio.ensure_future(self._clean_up(identity)))
            self._core.run.done(intent)

    @property
    def running(self) -> set[str]:
        """Ids of the steps under way."""
        return set(self._waiting)

    def exited(self, end: Exit) -> bool:
        """The shim reports an end; True when it was a step's."""
        future = self._waiting.get(end.container)
        if future is None:
            return False
        if not future.done():
            future.set_result(end)
        return True

    async def sweep(self, identity: str) -> None:
        """Remove what a killed process left of a step."""
        await self._clean_up(identity)

    # ---- inside

    async def _run(
        self,
        identity: str,
        spec: ContainerSpec,
        root: StepRoot,
        mounts: Sequence[Mount],
        argv: tuple[str, ...],
        env: Mapping[str, str],
        output: Callable[[bytes], None] | None,
        end: asyncio.Future[Exit],
    ) -> int:
        run_dir = self._core.run_paths.container(identity)
        logs = f"{self._core.paths.container(identity)}/logs"
        ensure_private(run_dir)
        os.makedirs(logs, mode=0o700)
        descriptor = None
        follower = LogFollower(logs)
        try:
            descriptor, endpoint = await self._network(identity, spec)
            self._write_etc(f"{run_dir}/etc", spec, endpoint)
            instructions = self._compile(identity, spec, root, mounts, argv, env, run_dir, logs)
            await self._core.shim.start(instructions, descriptor)
            reading = asyncio.ensure_future(_pass_on(follower, output))
            done = await end
            follower.finish()
            await reading
            return done.status if done.known else 255
        finally:
            follower.close()
            if descriptor is not None:
                os.close(descriptor)

    async def _network(self, identity: str, spec: ContainerSpec) -> tuple[int | None, Endpoint | None]:
        if spec.network_mode == "host":
            return None, None
        manager = self._core.network
        descriptor = manager.new_namespace()
        self._core.supervisor.hold(f"netns/{identity}", [descriptor])
        if spec.network_mode == "none":
            return descriptor, None
        record = self._networks.default(identity)
        endpoint = self._networks.endpoint(record, identity, Attachment(network=record.name), None)
        manager.attach(identity, descriptor, "eth0", record, endpoint, True)
        sockets = manager.dns_sockets(descriptor)
        try:
            self._core.supervisor.hold(f"dns/{identity}", sockets)
            await self._core.resolver.serve(identity, *sockets)
        finally:
            for socket in sockets:
                os.close(socket)
        await self._core.resolver.update(None, {identity: Scope(networks=(record.id,))})
        return descriptor, endpoint

    def _write_etc(self, directory: str, spec: ContainerSpec, endpoint: Endpoint | None) -> None:
        try:
            with open("/etc/resolv.conf", errors="replace") as file:
                machine = file.read()
        except FileNotFoundError:
            machine = ""
        os.makedirs(directory, 0o755)
        endpoints = [endpoint] if endpoint else []
        texts = {
            "hosts": process.hosts(spec, spec.name, endpoints),
            "hostname": spec.name + "\n",
            "resolv.conf": process.resolv_conf(spec, machine, own_resolver=endpoint is not None),
        }
        for name, text in texts.items():
            with open(f"{directory}/{name}", "w") as file:
                file.write(text)

    def _compile(
        self,
        identity: str,
        spec: ContainerSpec,
        root: StepRoot,
        mounts: Sequence[Mount],
        argv: tuple[str, ...],
        env: Mapping[str, str],
        run_dir: str,
        logs: str,
    ) -> Instructions:
        mounted = RootMount(kind="overlay", lower=root.lower, upper=root.upper, work=root.work)
        texts = [self._core.snapshots.read_file(mounted, f"/etc/{name}") or b"" for name in ("passwd", "group")]
        passwd, group = (text.decode(errors="replace") for text in texts)
        return compile_container(
            spec,
            ImageConfig(),
            mounted,
            identity=identity,
            hostname=spec.name,
            environment=[f"{name}={value}" for name, value in env.items()],
            mounts=[BindMount(source=m.source, target=m.target, read_only=m.read_only) for m in mounts
                    if m.type == "bind"],
            files_dir=f"{run_dir}/etc",
            log_dir=logs,
            run_dir=run_dir,
            account=accounts.resolve(spec.user, passwd, group),
            machine=self._machine,
            cgroup=self._core.cgroups.create(identity, Resources()),
            network="host" if spec.network_mode == "host" else "join",
            argv=argv,
        )  # fmt: skip

    async def _clean_up(self, identity: str) -> None:
        with step(identity, "processes"):
            if self._core.cgroups.processes(identity):
                self._core.cgroups.kill_all(identity)
        with step(identity, "names"):
            self._core.supervisor.drop(f"dns/{identity}")
            await self._core.resolver.forget(identity)
            await self._core.resolver.update(None, {identity: None})
        with step(identity, "network"):
            self._networks.leave_default(identity)
            self._core.supervisor.drop(f"netns/{identity}")
            self._leave_networks(identity)
        with step(identity, "shim"):
            await self._core.shim.release(identity)
        with step(identity, "cgroup"):
            await asyncio.to_thread(self._core.cgroups.remove, identity)
        shutil.rmtree(self._core.run_paths.container(identity), ignore_errors=True)
        self._trash.discard(self._core.paths.container(identity))

    def _leave_networks(self, identity: str) -> None:
        for lease in self._core.run.leases_of(identity):
            record = self._networks.get(lease.network)
            if record is not None:
                endpoint = Endpoint(network=record.name, network_id=record.id, ipv4=lease.address)
                self._core.network.detach(identity, record, None, endpoint)
        self._networks.release(identity)


async def _pass_on(follower: LogFollower, output: Callable[[bytes], None] | None) -> None:
    async for chunk in follower.chunks():
        if output is not None:
            output(chunk.data)
