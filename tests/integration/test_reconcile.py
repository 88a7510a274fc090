"""The reconciler over the real engine: what a plan says is what containers do."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stackfile.engines.containers import ContainerProvider
from stackfile.engines.embedded.engine import EmbeddedEngine
from stackfile.model.container import ContainerRecord, ExecSpec
from stackfile.model.event import JobEvent
from stackfile.model.observed import DownOptions, UpOptions
from stackfile.model.stack import (
    SECOND,
    Attachment,
    ConfigResource,
    Dependency,
    FileRef,
    Generate,
    Healthcheck,
    ImageResource,
    Mount,
    NetworkResource,
    Port,
    Resources,
    SecretRef,
    SecretResource,
    Service,
    Stack,
    VolumeResource,
)
from stackfile.reconcile.jobs import Job
from stackfile.reconcile.reconciler import Reconciler
from tests.integration import engines
from tests.integration.quickstart import free_port

pytestmark = pytest.mark.root

SERVE = """
trap 'cat /etc/web.conf > /tmp/heard' HUP
cat /etc/web.conf > /tmp/heard
while :; do sleep 0.05; done
"""
HEALTHY = Healthcheck(test=("CMD", "test", "-e", "/tmp/heard"), interval=SECOND, retries=3)
BROKEN = Healthcheck(test=("CMD", "false"), interval=SECOND // 20, retries=2)


def service(name: str, *command: str, **fields: Any) -> Service:
    defaults: dict[str, Any] = {
        "image": "busybox",
        "image_is_stack_image": True,
        "command": command or ("sleep", "1000"),
        "networks": (Attachment(network="default"),),
        "stop_grace_period": 0,
    }
    return Service(name=name, **{**defaults, **fields})


def stack(*services: Service, **fields: Any) -> Stack:
    image: Mapping[str, ImageResource] = engines.BUSYBOX
    base = Stack(
        name="p",
        environment="dev",
        directory="/srv/p",
        files=("/srv/p/stack.yaml",),
        images=dict(image),
        services={item.name: item for item in services},
        networks={"default": NetworkResource(name="default", full_name="p_default")},
    )
    return replace(base, **fields)


class World:
    """An engine and a reconciler on it."""

    def __init__(self, engine: EmbeddedEngine) -> None:
        self.engine = engine
        self.reconciler = Reconciler(ContainerProvider(engine))

    async def up(self, wanted: Stack, *, ends: str = "done", **options: Any) -> list[JobEvent]:
        found = await self.events(self.reconciler.up(wanted, UpOptions(**options)))
        assert found[-1].status == ends, found[-1].error
        return found

    async def down(self, **options: Any) -> JobEvent:
        end = (await self.events(self.reconciler.down("p", DownOptions(**options))))[-1]
        assert end.status == "done", end
        return end

    async def lifecycle(self, verb: str, **options: Any) -> None:
        end = (await self.events(self.reconciler.lifecycle(verb, "p", **options)))[-1]
        assert end.status == "done", end

    async def events(self, job: Job) -> list[JobEvent]:
        return [event async for event in job.events()]

    async def plan(self, wanted: Stack) -> list[str]:
        made = await self.reconciler.plan(wanted, UpOptions())
        return [f"{action.action} {action.address}" for action in made.actions]

    async def containers(self) -> dict[str, ContainerRecord]:
        return {record.spec.name: record for record in await self.engine.container_list(project="p")}

    async def identities(self) -> dict[str, tuple[str, str]]:
        return {name: (item.id, item.state.started_at) for name, item in (await self.containers()).items()}

    async def read(self, container: str, path: str) -> str:
        identity = await self.engine.exec_create(container, ExecSpec(argv=("cat", path)))
        streams = await self.engine.exec_start(identity)
        assert streams is not None
        try:
            return b"".join([chunk.data async for chunk in streams.output()]).decode()
        finally:
            await streams.close()


@asynccontextmanager
async def _world() -> AsyncIterator[World]:
    async with engines.engine() as engine:
        world = World(engine)
        try:
            yield world
        finally:
            await world.down(volumes=True)


def run(scenario: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(100), _world() as world:
            await scenario(world)

    asyncio.run(main())


def full(greeting: str = "hello", **web: Any) -> Stack:
    """Two web replicas on a store with a volume and a secret; web has a config whose change is a signal."""
    return stack(
        service(
            "web",
            "sh",
            "-c",
            SERVE,
            **{
                "replicas": 2,
                "files": (FileRef(kind="config", source="conf", target="/etc/web.conf", on_change="SIGHUP"),),
                "healthcheck": HEALTHY,
                "depends_on": {"store": Dependency(condition="service_healthy")},
                **web,
            },
        ),
        service(
            "store",
            "sh",
            "-c",
            "touch /tmp/heard; echo $TOKEN > /tmp/token; exec sleep 1000",
            environment={"TOKEN": SecretRef("token")},
            healthcheck=HEALTHY,
            mounts=(Mount(type="volume", source="data", target="/data"),),
        ),
        volumes={"data": VolumeResource(name="data", full_name="p_data")},
        configs={"conf": ConfigResource(name="conf", content=greeting)},
        secrets={"token": SecretResource(name="token", generate=Generate(length=20))},
    )


def test_up_twice_down_and_away() -> None:
    async def scenario(world: World) -> None:
        port = free_port()
        wanted = full(ports=(Port(target=80, published=port),))
        first = await world.up(wanted)
        result = first[-1].result
        assert result is not None
        assert (result["containers"], result["resources"]) == (3, 7)
        assert {"address": "service.web", "url": f"http://localhost:{port}"} in result["ports"]
        words = {event.address: event.word for event in first if event.status == "done"}
        assert (words["service.web"], words["secret.token"], words["network.default"]) == (
            "healthy", "generated", "created"
        )  # fmt: skip
        token = await world.read("p-store-1", "/tmp/token")
        assert len(token.strip()) == 20
        before = await world.identities()
        second = await world.up(wanted)
        assert [event for event in second if event.type == "action"] == []
        assert await world.identities() == before
        end = await world.down()
        assert end.result is not None
        assert end.result["kept"] == ["volume.data", "secret.token"]
        assert await world.containers() == {}
        await world.up(wanted)
        assert await world.read("p-store-1", "/tmp/token") == token, "the secret is kept with the volume"
        await world.down(volumes=True)
        assert await world.engine.project_list() == []
        assert await world.engine.volume_list(project="p") == []
        assert await world.engine.network_list(project="p") == []
        assert await world.engine.file_names("p", "secret") == []

    run(scenario)


def test_each_change_reaches_what_it_concerns() -> None:
    async def scenario(world: World) -> None:
        await world.up(full())
        first = await world.identities()

        await world.up(full(resources=Resources(memory=64 << 20)))
        assert await world.identities() == first, "a limit changes in place"

        changed = full("servus", resources=Resources(memory=64 << 20))
        found = await world.up(changed)
        assert await world.identities() == first, "the config's change is a signal"
        assert {event.detail for event in found if event.address == "service.web" and event.status == "done"} == {
            "SIGHUP sent"
        }
        for name in ("p-web-1", "p-web-2"):
            async with asyncio.timeout(5):
                while await world.read(name, "/tmp/heard") != "servus":
                    await asyncio.sleep(0.05)

        await world.up(replace(changed, services={**changed.services, "web": replace(changed.services["web"],
                       environment={"A": "1"})}))  # fmt: skip
        third = await world.identities()
        assert third["p-store-1"] == first["p-store-1"]
        assert all(third[name][0] != first[name][0] for name in ("p-web-1", "p-web-2"))
        assert set(third) == set(first)

    run(scenario)


def test_content_that_restarts_keeps_the_container() -> None:
    async def scenario(world: World) -> None:
        files = (FileRef(kind="config", source="conf", target="/etc/web.conf"),)
        await world.up(full(files=files))
        first = await world.identities()
        await world.up(full("servus", files=files))
        second = await world.identities()
        assert second["p-store-1"] == first["p-store-1"]
        for name in ("p-web-1", "p-web-2"):
            assert (second[name][0] == first[name][0], second[name][1] == first[name][1]) == (True, False)
        assert await world.read("p-web-1", "/tmp/heard") == "servus"

    run(scenario)


def test_after_half_a_down_contents_are_stored_again() -> None:
    async def scenario(world: World) -> None:
        files = (FileRef(kind="config", source="conf", target="/etc/web.conf"),)
        wanted = full(files=files)
        await world.up(wanted)
        await world.engine.container_remove("p-web-1", force=True)
        await world.engine.file_remove("p", "config", "conf")  # a `down -v` was interrupted here
        assert await world.plan(wanted) == ["create config.conf", "create service.web"]
        await world.up(wanted)
        assert await world.read("p-web-1", "/etc/web.conf") == await world.read("p-web-2", "/etc/web.conf")

    run(scenario)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"command": ("sh", "-c", "echo oops >&2; exit 3")}, "exited-early"),
        ({"command": ("/no/such/program",)}, "command-not-found"),
        ({"environment": {"A": "1"}, "healthcheck": BROKEN}, "unhealthy"),
    ],
)
def test_a_failed_update_leaves_the_old_container_running(change: dict[str, Any], reason: str) -> None:
    async def scenario(world: World) -> None:
        before = stack(service("web"))
        await world.up(before)
        first = await world.containers()
        found = await world.up(stack(service("web", **change)), ends="failed")
        error = found[-1].error
        assert error is not None
        assert error["reason"] == reason
        now = await world.containers()
        assert {name: item.id for name, item in now.items()} == {name: item.id for name, item in first.items()}
        assert now["p-web-1"].state.status == "running"
        if reason == "exited-early":
            assert "oops" in [event.message for event in found if event.type == "log"]
        assert await world.plan(before) == []

    run(scenario)


def test_a_one_shot_completes_first_and_rests() -> None:
    async def scenario(world: World) -> None:
        wanted = stack(
            service("migrate", "sh", "-c", "sleep 0.2; echo done > /data/done",
                    mounts=(Mount(type="volume", source="data", target="/data"),)),
            service("web", "sh", "-c", "cat /data/done && exec sleep 1000",
                    mounts=(Mount(type="volume", source="data", target="/data"),),
                    depends_on={"migrate": Dependency(condition="service_completed_successfully")}),
            volumes={"data": VolumeResource(name="data", full_name="p_data")},
        )  # fmt: skip
        found = await world.up(wanted)
        words = {event.address: event.word for event in found if event.status == "done"}
        assert (words["service.migrate"], words["service.web"]) == ("completed", "running")
        assert await world.plan(wanted) == []

    run(scenario)


def test_what_fails_says_its_last_words_and_its_dependents_are_skipped() -> None:
    async def scenario(world: World) -> None:
        wanted = stack(
            service("store", "sh", "-c", "echo cannot open data >&2; exit 4"),
            service("web", depends_on={"store": Dependency(condition="service_started")}),
            service("alone"),
        )
        found = await world.up(wanted, ends="failed")
        state = {event.address: event.status for event in found if event.type == "action"}
        assert (state["service.store"], state["service.alone"]) == ("failed", "done")
        assert ("cannot open data", "p-store-1") in [
            (event.message, event.attributes["container"])
            for event in found
            if event.type == "log" and event.attributes
        ]

    run(scenario)


def test_an_anonymous_volume_is_carried_over() -> None:
    async def scenario(world: World) -> None:
        def wanted(value: str) -> Stack:
            mounts = (Mount(type="volume", target="/cache"),)
            return stack(service("web", "sh", "-c", "echo $A >> /cache/log; exec sleep 1000", mounts=mounts,
                                 environment={"A": value}))  # fmt: skip

        await world.up(wanted("one"))
        await world.up(wanted("two"))
        assert await world.read("p-web-1", "/cache/log") == "one\ntwo\n"
        assert await world.plan(wanted("two")) == []

    run(scenario)


def test_what_was_killed_is_started_and_what_was_stopped_too() -> None:
    async def scenario(world: World) -> None:
        wanted = stack(service("web"), service("worker", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done",
                       stop_grace_period=5 * SECOND))  # fmt: skip
        await world.up(wanted)
        first = await world.identities()
        await world.lifecycle("kill", services=["web"])
        await world.lifecycle("stop", services=["worker"])
        assert (await world.containers())["p-worker-1"].state.exit_code == 0
        assert sorted(await world.plan(wanted)) == ["start service.web", "start service.worker"]
        await world.up(wanted)
        second = await world.identities()
        assert {name: identity for name, (identity, _) in second.items()} == {
            name: identity for name, (identity, _) in first.items()
        }
        assert await world.plan(wanted) == []

    run(scenario)


def test_lifecycle_verbs() -> None:
    async def scenario(world: World) -> None:
        wanted = stack(service("web", depends_on={"store": Dependency()}), service("store"))
        await world.up(wanted)
        first = await world.identities()
        await world.lifecycle("restart")
        second = await world.identities()
        assert all(second[name][0] == first[name][0] and second[name][1] != first[name][1] for name in first)
        await world.lifecycle("stop")
        assert {item.state.status for item in (await world.containers()).values()} == {"exited"}
        await world.lifecycle("start")
        assert {item.state.status for item in (await world.containers()).values()} == {"running"}
        await world.lifecycle("rm", force=True, services=["web"])
        assert set(await world.containers()) == {"p-store-1"}
        assert await world.plan(wanted) == ["create service.web"]

    run(scenario)


def test_a_changed_network_is_made_anew_below_its_containers() -> None:
    async def scenario(world: World) -> None:
        before = stack(service("web"), service("store"))
        await world.up(before)
        first = await world.identities()
        networks = {"default": replace(before.networks["default"], internal=True)}
        after = replace(before, networks=networks)
        await world.up(after)
        assert await world.identities() == first
        assert (await world.engine.network_get("p_default")).internal
        assert all(item.endpoints for item in (await world.containers()).values())
        assert await world.plan(after) == []

    run(scenario)


def test_scaling() -> None:
    async def scenario(world: World) -> None:
        await world.up(stack(service("web", replicas=2)))
        first = await world.identities()
        await world.up(stack(service("web", replicas=3)))
        assert {name: value for name, value in (await world.identities()).items() if name in first} == first
        await world.up(stack(service("web", replicas=1)))
        assert await world.identities() == {"p-web-1": first["p-web-1"]}

    run(scenario)


def test_a_limit_that_somebody_else_changed_is_drift_and_mended() -> None:
    async def scenario(world: World) -> None:
        wanted = stack(service("web", resources=Resources(memory=64 << 20)))
        await world.up(wanted)
        identity = (await world.containers())["p-web-1"].id
        parent = world.engine.settings.cgroup_parent
        found = [
            Path(base) / name
            for base, _, names in os.walk("/sys/fs/cgroup")  # not glob: others' groups vanish meanwhile
            if f"/{parent}/" in base and Path(base).name.startswith(identity)
            for name in names
            if name in ("memory.limit_in_bytes", "memory.max")
        ]
        found[0].write_text(str(32 << 20))
        (action,) = (await world.reconciler.plan(wanted, UpOptions())).actions
        assert (action.action, action.changes[0].cause.kind) == ("update", "drift")
        await world.up(wanted)
        assert int(found[0].read_text()) == 64 << 20
        assert await world.plan(wanted) == []

    run(scenario)


def test_a_lost_bridge_is_drift_and_mended() -> None:
    async def scenario(world: World) -> None:
        wanted = stack(service("web"), service("store"))
        await world.up(wanted)
        first = await world.identities()
        bridge = (await world.engine.network_get("p_default")).interface
        subprocess.run(["ip", "link", "delete", bridge], check=True)
        assert await world.plan(wanted) == ["update network.default"]
        await world.up(wanted)
        assert await world.identities() == first
        identity = await world.engine.exec_create("p-web-1", ExecSpec(argv=("ping", "-c1", "-W2", "store")))
        streams = await world.engine.exec_start(identity)
        assert streams is not None
        output = b"".join([chunk.data async for chunk in streams.output()])
        await streams.close()
        assert b"1 packets received" in output
        assert await world.plan(wanted) == []

    run(scenario)


def test_a_host_port_goes_from_one_service_to_another() -> None:
    async def scenario(world: World) -> None:
        ports = (Port(target=80, published=free_port()),)
        await world.up(stack(service("a"), service("b", ports=ports)))
        first = await world.identities()
        await world.up(stack(service("a", ports=ports), service("b")))
        assert await world.identities() == first
        now = await world.containers()
        assert (len(now["p-a-1"].published), len(now["p-b-1"].published)) == (1, 0)

    run(scenario)


@pytest.mark.parametrize("renamed", [False, True])
def test_an_update_that_was_cut_short_is_finished(renamed: bool) -> None:
    """The daemon died between the steps of a replacement: a container too many, maybe none of the right name."""

    async def scenario(world: World) -> None:
        wanted = stack(service("web"))
        await world.up(wanted)
        current = (await world.containers())["p-web-1"]
        successor = await world.engine.container_create(replace(current.spec, name="p-web-1.new"))
        if renamed:
            await world.engine.container_stop(current.id)
            await world.engine.container_rename(current.id, "p-web-1.old")
            await world.engine.container_start(successor)
        await world.up(wanted)
        now = await world.containers()
        assert {name: item.id for name, item in now.items()} == {"p-web-1": successor if renamed else current.id}
        assert now["p-web-1"].state.status == "running"
        assert await world.plan(wanted) == []

    run(scenario)


def test_two_ups_at_once_do_not_mix() -> None:
    async def scenario(world: World) -> None:
        wanted = stack(service("web"))
        one, two = world.reconciler.up(wanted, UpOptions()), world.reconciler.up(wanted, UpOptions())
        first, second = await asyncio.gather(world.events(one), world.events(two))
        assert [event.status for event in first if event.type == "end"] == ["done"]
        assert [event.type for event in second] == ["job", "waiting", "plan", "end"]
        assert second[1].attributes["job"] == one.id

    run(scenario)
