"""Updates that go wrong, go in batches, or concern others: over the real engine."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from typing import Any

import pytest

from stackfile.errors import RefusedError
from stackfile.model.container import ContainerRecord
from stackfile.model.observed import UpOptions
from stackfile.model.stack import (
    SECOND,
    Attachment,
    Healthcheck,
    Mount,
    NetworkResource,
    Port,
    Resources,
    Rollout,
    Service,
    Stack,
    VolumeResource,
)
from tests.integration.quickstart import free_port
from tests.integration.test_reconcile import World, run, service, stack

pytestmark = pytest.mark.root

HEALTHY = Healthcheck(test=("CMD", "true"), interval=SECOND // 5)
FAILS = ("/no/such/program",)


def changed(service: Service, **fields: Any) -> Stack:
    return stack(replace(service, **fields))


async def watch(world: World, work: Any) -> tuple[int, int]:
    """(fewest, most) containers that ran at once while `work` was done."""
    task = asyncio.ensure_future(work)
    numbers = []
    while not task.done():
        numbers.append(sum(record.state.status == "running" for record in (await world.containers()).values()))
        await asyncio.sleep(0.005)
    await task
    return min(numbers), max(numbers)


def by_variable(records: dict[str, ContainerRecord]) -> list[object]:
    return [records[name].spec.environment.get("A") for name in sorted(records)]


def test_batches_order_and_what_becomes_of_a_failure() -> None:
    async def scenario(world: World) -> None:
        web = service("web", replicas=3, healthcheck=HEALTHY, environment={"A": "1"})
        await world.up(stack(web))
        fewest, most = await watch(world, world.up(changed(web, environment={"A": "2"})))
        assert (fewest, most) == (2, 3), "one at a time"
        web = replace(web, update=Rollout(parallelism=2, order="start-first"))
        fewest, most = await watch(world, world.up(changed(web, environment={"A": "3"})))
        assert (fewest, most) == (3, 5), "two at a time, the new ones first"
        assert by_variable(await world.containers()) == ["3", "3", "3"]
        first = await world.identities()

        # the second replica does not work: the first is new, it and the third are as they were
        def failing(**fields: Any) -> Stack:
            broken = replace(web, environment={"A": "4"}, update=Rollout(**fields))
            variants = (broken, replace(broken, command=FAILS), broken)
            return stack(replace(broken, variants=variants))

        await world.up(failing(), ends="failed")
        assert by_variable(await world.containers()) == ["4", "3", "3"]
        found = await world.up(failing(failure_action="continue"), ends="failed")
        assert by_variable(await world.containers()) == ["4", "3", "4"]
        error = found[-1].error
        assert error is not None
        assert (error["reason"], error["hint"]) == ("command-not-found", "the previous container was started again")
        await world.up(changed(web, environment={"A": "3"}))
        assert by_variable(await world.containers()) == ["3", "3", "3"]
        found = await world.up(failing(failure_action="rollback"), ends="failed")
        assert by_variable(await world.containers()) == ["3", "3", "3"]
        second = await world.identities()
        assert second["p-web-3"] != first["p-web-1"]
        assert {name: item.state.status for name, item in (await world.containers()).items()} == dict.fromkeys(
            second, "running"
        )

    run(scenario)


def _serves_seed(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(b"GET /seed HTTP/1.0\r\n\r\n")
            return b"seed" in connection.recv(4096) + connection.recv(4096)
    except OSError:
        return False


def test_a_failed_update_with_a_host_port_a_volume_and_an_address_of_its_own() -> None:
    async def scenario(world: World) -> None:
        port = free_port()
        web = service(
            "web", "httpd", "-f", "-p", "80", "-h", "/data",
            ports=(Port(target=80, published=port, mode="host"),),
            mounts=(Mount(type="volume", source="data", target="/data"),),
            networks=(Attachment(network="default", ipv4="10.208.3.9"),),
            container_name="the-web",
        )  # fmt: skip
        extra: dict[str, Any] = {
            "networks": {"default": NetworkResource(name="default", full_name="p_default", subnets=("10.208.3.0/24",))},
            "volumes": {"data": VolumeResource(name="data", full_name="p_data")},
        }
        await world.up(replace(stack(web), **extra))
        first = await world.identities()
        await world.up(replace(stack(replace(web, command=FAILS)), **extra), ends="failed")
        now = await world.containers()
        assert {name: item.id for name, item in now.items()} == {name: pair[0] for name, pair in first.items()}
        record = now["the-web"]
        assert (record.state.status, record.endpoints[0].ipv4) == ("running", "10.208.3.9")
        async with asyncio.timeout(20):
            while not await asyncio.to_thread(_serves_seed, port):
                await asyncio.sleep(0.05)  # it was started again just now

    run(scenario)


def test_who_shares_a_namespace_or_volumes_follows() -> None:
    async def scenario(world: World) -> None:
        def wanted(value: str) -> Stack:
            return stack(
                service("web", environment={"A": value}),
                service("beside", networks=(), network_mode="service:web"),
                service("alone"),
            )

        await world.up(wanted("1"))
        first = await world.identities()
        await world.up(wanted("2"))
        second = await world.identities()
        assert first["p-alone-1"] == second["p-alone-1"]
        assert all(first[name][0] != second[name][0] for name in ("p-web-1", "p-beside-1"))
        assert await world.plan(wanted("2")) == []

    run(scenario)


def test_memory_below_what_is_used() -> None:
    """A warning; and where the kernel refuses, a failure with the container as it was."""

    async def scenario(world: World) -> None:
        command = ("sh", "-c", "dd if=/dev/zero of=/dev/shm/x bs=1M count=40 2>/dev/null; touch /ready; sleep 1000")
        check = Healthcheck(test=("CMD", "test", "-e", "/ready"), interval=SECOND // 5)
        web = service("web", *command, resources=Resources(memory=128 << 20), healthcheck=check)
        await world.up(stack(web))
        first = await world.identities()
        lower = changed(web, resources=Resources(memory=16 << 20))
        made = await world.reconciler.plan(lower, UpOptions())
        assert [note.code for note in made.notes] == ["memory-below-use"]
        found = await world.up(lower, ends="failed")
        error = found[-1].error
        assert error is not None
        assert "memory" in error["message"]
        assert await world.identities() == first
        assert (await world.containers())["p-web-1"].spec.resources.memory == 128 << 20
        assert list(await world.plan(stack(web))) == []

    run(scenario)


def test_what_would_lose_data_needs_a_yes() -> None:
    async def scenario(world: World) -> None:
        volume = VolumeResource(name="data", full_name="p_data")
        web = service("web", mounts=(Mount(type="volume", source="data", target="/data"),))
        await world.up(replace(stack(web), volumes={"data": volume}))
        other = replace(stack(web), volumes={"data": replace(volume, options={"o": "size=1m"})})
        with pytest.raises(RefusedError) as refused:
            await world.plan(other)
        assert refused.value.reason == "needs-yes"
        network = {"default": NetworkResource(name="default", full_name="p_default", driver="macvlan")}
        with pytest.raises(RefusedError) as refused:
            await world.plan(replace(stack(web), volumes={"data": volume}, networks=network))
        assert refused.value.reason == "needs-yes"
        made = await world.reconciler.plan(other, UpOptions(yes=True))
        assert [(action.address, action.action) for action in made.actions] == [
            ("volume.data", "recreate"), ("service.web", "recreate"),
        ]  # fmt: skip

    run(scenario)


def test_an_update_goes_on_where_another_one_was_cut_short() -> None:
    """What it left under a temporary name is in nobody's way, be it the one that runs now."""

    async def scenario(world: World) -> None:
        web = service("web", environment={"A": "1"})
        await world.up(stack(web))
        await world.engine.container_rename("p-web-1", "p-web-1.new")
        await world.up(changed(web, environment={"A": "2"}))
        records = await world.containers()
        assert (list(records), by_variable(records)) == (["p-web-1"], ["2"])
        left_over = replace(records["p-web-1"].spec, name="p-web-1.old", labels={})
        await world.engine.container_create(left_over)
        await world.up(changed(web, environment={"A": "3"}))
        records = await world.containers()
        assert (list(records), by_variable(records)) == (["p-web-1"], ["3"])
        assert not [one for one in await world.engine.container_list() if one.spec.name.startswith("p-web-1.")]

    run(scenario)
