"""Volumes, files, secrets, networks, ports and names of the embedded engine."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from stackfile.engines.embedded.engine import EmbeddedEngine
from stackfile.errors import ActionError, ConflictError, NotFoundError
from stackfile.model import labels
from stackfile.model.container import ContainerSpec, FileMount, NetworkRecord, VolumeRecord
from stackfile.model.stack import SECOND, Attachment, Generate, Healthcheck, Mount, Port, Resources, SecretRef
from tests.integration.engines import run, spec
from tests.integration.test_engine_containers import exec_output, started, with_engine

pytestmark = pytest.mark.root

SERVE = "while :; do echo {} | nc -l -p 80 >/dev/null; done"


def service(name: str, number: int, *argv: str, **fields: object) -> ContainerSpec:
    """A replica of a service of project `p`."""
    own = {labels.PROJECT: "p", labels.SERVICE: name, labels.NUMBER: str(number)}
    return spec(*argv, name=f"p-{name}-{number}", labels=own, networks=(Attachment(network="p_default"),), **fields)


async def project_network(made: EmbeddedEngine) -> str:
    return await made.network_create(NetworkRecord(id="", name="p_default", labels={labels.PROJECT: "p"}))


def ask(port: int) -> str:
    """What a connection to a published port answers; "" when it is refused."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            return connection.recv(100).decode().strip()
    except (ConnectionError, TimeoutError):
        return ""


async def answers(port: int, seconds: float = 5.0) -> str:
    async with asyncio.timeout(seconds):
        while not (answer := await asyncio.to_thread(ask, port)):
            await asyncio.sleep(0.02)
        return answer


def test_an_empty_volume_is_filled_from_the_image() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        mount = Mount(type="volume", source="data", target="/data")
        code, output = await run(made, spec("sh", "-c", "cat /data/seed; echo more > /data/mine", mounts=(mount,)))
        assert (code, output) == (0, "seed\n")
        directory = Path((await made.volume_get("data")).mountpoint)
        status = directory.stat()
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (7, 8, 0o750)
        (directory / "seed").unlink()
        assert await run(made, spec("ls", "/data", mounts=(mount,))) == (0, "mine\n")
        with pytest.raises(ConflictError) as caught:
            await made.volume_remove("data")
        assert caught.value.reason == "volume-in-use"

    with_engine(scenario)


def test_anonymous_volumes_go_with_their_container() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        identity = await made.container_create(spec("true", mounts=(Mount(type="volume", target="/data"),)))
        (name,) = (await made.container_get(identity)).volumes.values()
        assert (await made.volume_get(name)).anonymous
        await made.container_remove(identity, volumes=True)
        with pytest.raises(NotFoundError):
            await made.volume_get(name)

    with_engine(scenario)


def test_binds_and_tmpfs(tmp_path: Path) -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        (tmp_path / "file").write_text("from the host\n")
        mounts = (
            Mount(type="bind", source=str(tmp_path), target="/host", read_only=True),
            Mount(type="bind", source=str(tmp_path / "made"), target="/made"),
            Mount(type="tmpfs", target="/scratch", tmpfs_size=1 << 20),
        )
        script = "cat /host/file; touch /host/x 2>/dev/null || echo no; touch /made/y; df -k /scratch | tail -1"
        code, output = await run(made, spec("sh", "-c", script, mounts=mounts))
        assert code == 0
        assert output.splitlines()[:2] == ["from the host", "no"]
        assert output.splitlines()[2].split()[1] == "1024"
        assert (tmp_path / "made" / "y").exists()
        strict = Mount(type="bind", source=str(tmp_path / "not"), target="/x", create_host_path=False)
        with pytest.raises(ActionError) as caught:
            await run(made, spec("true", mounts=(strict,)))
        assert caught.value.reason == "not-found"

    with_engine(scenario)


def test_secrets_and_configs() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        secret = await made.secret_resolve("p", "token", None, Generate(length=12), create=True)
        config = await made.file_put("p", "config", "web", b"one\n")
        files = (
            FileMount(kind="secret", name="token", target="", key=secret, uid="7", gid="8", mode=0o400),
            FileMount(kind="config", name="web", target="/etc/web.conf", key=config, on_change="none"),
        )
        container = spec(
            "sleep", "60", name="web", files=files, environment={"TOKEN": SecretRef("token")},
            secret_keys={"token": secret}, labels={labels.PROJECT: "p"},
        )  # fmt: skip
        identity = await started(made, container)
        shown = await exec_output(made, identity, "sh", "-c", "cat /run/secrets/token; echo; echo $TOKEN")
        first, second = shown[1].decode().split()
        assert first == second
        assert len(first) == 12
        script = "stat -c '%u %g %a' /run/secrets/token; cat /etc/web.conf"
        assert await exec_output(made, identity, "sh", "-c", script) == (0, b"7 8 400\none\n")

        record = await made.container_get(identity)
        assert first not in repr(record)
        key = await made.file_put("p", "config", "web", b"two, longer\n")
        changed = (files[0], replace(files[1], key=key))
        await made.container_update(identity, replace(record.spec, files=changed))
        assert (await exec_output(made, identity, "cat", "/etc/web.conf"))[1] == b"two, longer\n"
        assert (await made.container_get(identity)).state.pid == record.state.pid

        await made.container_remove(identity, force=True)
        assert first.encode() not in b"".join(
            Path(directory, name).read_bytes()
            for directory, _, names in os.walk(made.settings.run)
            for name in names
            if not stat.S_ISSOCK(os.stat(f"{directory}/{name}").st_mode)
        )

    with_engine(scenario)


def test_names_of_a_network() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        network = await project_network(made)
        for number in (1, 2):
            await started(made, service("web", number, "sleep", "60"))
        asker = await started(made, service("ask", 1, "sleep", "60"))
        records = [await made.container_get(f"p-web-{number}") for number in (1, 2)]
        addresses = {record.spec.name: record.endpoints[0].ipv4 for record in records}
        code, output = await exec_output(made, asker, "nslookup", "web")
        assert code == 0
        assert set(addresses.values()) <= set(output.decode().split())
        _, own = await exec_output(made, asker, "nslookup", "p-web-2")
        assert addresses["p-web-2"] in own.decode().split()
        await made.container_stop("p-web-2", timeout=0)
        _, left = await exec_output(made, asker, "nslookup", "web")
        assert addresses["p-web-2"] not in left.decode().split()
        assert (await exec_output(made, asker, "ping", "-c1", "-W2", "p-web-1"))[0] == 0
        with pytest.raises(ConflictError) as caught:
            await made.network_remove(network)
        assert caught.value.reason == "network-in-use"

    with_engine(scenario)


def test_an_address_stays_with_its_container() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        await project_network(made)
        first = await started(made, service("a", 1, "sleep", "60"))
        before = (await made.container_get(first)).endpoints[0]
        await made.container_stop(first, timeout=0)
        second = await started(made, service("b", 1, "sleep", "60"))
        assert (await made.container_get(second)).endpoints[0].ipv4 != before.ipv4
        await made.container_start(first)
        assert (await made.container_get(first)).endpoints[0] == before

    with_engine(scenario)


def test_a_port_is_shared_by_replicas() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        await project_network(made)
        port = free_port()
        for number in (1, 2):
            container = service(
                "web", number, "sh", "-c", SERVE.format(number), ports=(Port(target=80, published=port),)
            )
            await started(made, container)
        seen: set[str] = set()
        async with asyncio.timeout(10):
            while seen != {"1", "2"}:
                seen.add(await answers(port))
        await made.container_stop("p-web-1", timeout=0)
        assert {await answers(port) for _ in range(4)} == {"2"}
        await made.container_stop("p-web-2", timeout=0)
        assert await asyncio.to_thread(ask, port) == ""
        with socket.socket() as free:
            free.bind(("127.0.0.1", port))

    with_engine(scenario)


def test_a_taken_port_is_an_error_that_names_it() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        with socket.socket() as taken:
            taken.bind(("0.0.0.0", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(ActionError) as caught:
                await started(made, spec("sleep", "60", name="web", ports=(Port(target=80, published=port),)))
            assert caught.value.reason == "port-taken"
        assert await made.container_start("web")

    with_engine(scenario)


def test_only_healthy_replicas_get_requests() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        check = Healthcheck(test=("CMD", "test", "-e", "/ok"), interval=SECOND // 10, start_period=20 * SECOND)
        script = SERVE.format("here")
        container = spec("sh", "-c", script, name="web", ports=(Port(target=80),), healthcheck=check)
        await started(made, container)
        (published,) = (await made.container_get("web")).published
        assert published.published
        await asyncio.sleep(0.2)
        assert await asyncio.to_thread(ask, published.published) == ""
        await exec_output(made, "web", "touch", "/ok")
        await made.container_wait_healthy("web", 10)
        assert await answers(published.published) == "here"

    with_engine(scenario)


def test_ports_change_in_place() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        first, second = free_port(), free_port()
        container = spec("sh", "-c", SERVE.format("x"), name="web", ports=(Port(target=80, published=first),))
        await started(made, container)
        assert await answers(first) == "x"
        record = await made.container_get("web")
        await made.container_update("web", replace(record.spec, ports=(Port(target=80, published=second),)))
        assert await answers(second) == "x"
        assert await asyncio.to_thread(ask, first) == ""
        assert (await made.container_get("web")).published[0].published == second

    with_engine(scenario)


def test_networks_are_connected_while_it_runs() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        await project_network(made)
        await made.network_create(NetworkRecord(id="", name="p_back", labels={labels.PROJECT: "p"}))
        web = await started(made, service("web", 1, "sleep", "60"))
        await started(made, spec("sleep", "60", name="db", networks=(Attachment(network="p_back"),)))
        assert (await exec_output(made, web, "ping", "-c1", "-W1", "db"))[0] != 0
        await made.network_connect("p_back", web, Attachment(network="p_back", aliases=("front",)))
        assert (await exec_output(made, web, "ping", "-c1", "-W2", "db"))[0] == 0
        assert (await exec_output(made, "db", "ping", "-c1", "-W2", "front"))[0] == 0
        await made.network_disconnect("p_back", web)
        assert (await exec_output(made, web, "ping", "-c1", "-W1", "db"))[0] != 0
        assert [item.network for item in (await made.container_get(web)).endpoints] == ["p_default"]

    with_engine(scenario)


def test_a_created_container_leaves_the_default_network() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        await project_network(made)
        identity = await made.container_create(spec("sleep", "60"))
        await made.network_disconnect("bridge", identity)
        await made.network_connect("p_default", identity, Attachment(network="p_default"))
        await made.container_start(identity)
        assert [item.network for item in (await made.container_get(identity)).endpoints] == ["p_default"]
        async with asyncio.timeout(5):
            while len(await made.network_list()) > 1:
                await asyncio.sleep(0.05)

    with_engine(scenario)


def test_network_modes() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        code, output = await run(made, spec("ls", "/sys/class/net", network_mode="none"))
        assert (code, output) == (0, "lo\n")
        code, output = await run(made, spec("readlink", "/proc/self/ns/net", network_mode="host"))
        assert (code, output.strip()) == (0, os.readlink("/proc/self/ns/net"))
        first = await started(made, spec("sleep", "60", name="first"))
        script = "hostname; ip -4 -o addr show eth0"
        code, output = await run(made, spec("sh", "-c", script, network_mode="container:first"))
        assert output.split()[0] == first[:12]
        assert (await made.container_get(first)).endpoints[0].ipv4 in output

    with_engine(scenario)


def test_drift_is_found_and_mended() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        await project_network(made)
        container = service("web", 1, "sleep", "60", resources=Resources(memory=64 << 20, nano_cpus=250_000_000))
        identity = await started(made, container)
        assert await made.drift("p") == []
        (place,) = _memory_files(made, identity)
        place.write_text(str(32 << 20))
        (found,) = await made.drift("p")
        assert (found.address, found.field, found.container) == ("service.web", "memory", identity)
        assert (found.expected, found.actual) == (str(64 << 20), str(32 << 20))
        await made.container_update(identity, (await made.container_get(identity)).spec)
        assert await made.drift("p") == []

    with_engine(scenario)


def _memory_files(made: EmbeddedEngine, identity: str) -> list[Path]:
    parent = made.settings.cgroup_parent
    v1 = Path(f"/sys/fs/cgroup/memory/{parent}/{identity}/memory.limit_in_bytes")
    v2 = Path(f"/sys/fs/cgroup/{parent}/{identity}/memory.max")
    return [path for path in (v1, v2) if path.exists()]


def test_doctor_and_info() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        rows = await made.doctor()
        assert {"python", "kernel", "cgroups", "storage", "shim", "resolver", "nftables"} <= {row[0] for row in rows}
        assert all(status in ("ok", "warning", "missing") for _, status, _, _ in rows)
        info = await made.info()
        assert (info.containers, info.images, info.storage_driver) == (0, 1, "overlay")

    with_engine(scenario)


def test_volumes_are_idempotent_and_projects_are_kept() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        first = await made.volume_create(VolumeRecord(name="p_data", labels={labels.PROJECT: "p"}))
        assert await made.volume_create(VolumeRecord(name="p_data")) == first
        assert list(await made.volume_list(project="p")) == [first]
        await made.volume_remove("p_data")
        assert not Path(first.mountpoint).exists()

    with_engine(scenario)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
