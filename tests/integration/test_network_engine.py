"""Networks of containers that run: both families, UDP, addresses of the host, joining and leaving, sharing."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import replace
from typing import cast

import pytest

from stackfile.engines.embedded.engine import EmbeddedEngine
from stackfile.errors import ActionError, ConflictError
from stackfile.kernel.namespace import inside
from stackfile.model.container import ExecSpec, NetworkRecord
from stackfile.model.stack import Attachment, Port
from stackfile.paths import RunPaths
from stackfile.supervisor.client import Supervisor
from tests.integration.engines import busybox, engine, spec

pytestmark = pytest.mark.root


class _Echo(asyncio.DatagramProtocol):
    """Sends every datagram back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(data, addr)


@asynccontextmanager
async def serving(made: EmbeddedEngine, container: str) -> AsyncIterator[None]:
    """Servers in a container's network, in this process: TCP 80 says "here", UDP 53 gives back what it gets."""
    pid = (await made.container_get(container)).state.pid
    netns = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    with inside(netns):
        stream = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True)
        datagram = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        datagram.bind(("::", 53))
    os.close(netns)

    async def here(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"here")
        writer.close()

    datagram.setblocking(False)
    server = await asyncio.start_server(here, sock=stream)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(_Echo, sock=datagram)
    try:
        yield
    finally:
        transport.close()
        server.close()


async def connected(address: str, port: int) -> str:
    """What the server at a port says."""
    reader, writer = await asyncio.wait_for(asyncio.open_connection(address, port), 2)
    said = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return said.decode()


async def eventually(address: str, port: int) -> str:
    """The same, as soon as there is somebody."""
    for _ in range(100):
        with suppress(OSError, TimeoutError):
            if said := await connected(address, port):
                return said
        await asyncio.sleep(0.05)
    return ""


async def killed(made: EmbeddedEngine, name: str) -> None:
    """Kill one of the engine's processes; its supervisor starts another one."""
    with closing(Supervisor(RunPaths(made.settings.run).supervisor)) as supervisor:
        os.kill(supervisor.status()[name].pid, 9)


async def refused(address: str, port: int) -> bool:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), 2)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


async def told(made: EmbeddedEngine, container: str, command: str) -> str:
    """Output of a command in a container."""
    identity = await made.exec_create(container, ExecSpec(argv=("/bin/sh", "-c", command)))
    stream = await made.exec_start(identity)
    assert stream is not None
    output = b"".join([chunk.data async for chunk in stream.output()])
    return output.decode()


def ask_udp(address: str, port: int) -> str:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_DGRAM)) as client:
        client.settimeout(0.3)
        client.connect((address, port))
        for _ in range(20):
            try:
                client.send(b"question")
                return client.recv(100).decode()
            except OSError:
                continue
    return ""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _free(port: int) -> None:
    """Fails unless the port can be had in both families."""
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        socket.create_server((address, port), family=family).close()


async def start(made: EmbeddedEngine, *argv: str, name: str, **fields: object) -> str:
    identity = await made.container_create(spec(*argv, name=name, **fields))
    await made.container_start(identity)
    return identity


def test_both_families_and_every_way_to_publish() -> None:
    async def body() -> None:
        async with engine() as made:
            await busybox(made)
            number = int(made.settings.address_pool6.split(":")[1], 16)
            await made.network_create(NetworkRecord(id="", name="six", enable_ipv6=True))
            six = await made.network_get("six")
            assert six.subnets[1].startswith(f"fd89:{number:x}:")
            await made.network_create(NetworkRecord(id="", name="four"))
            any_port, loop_port, udp_port, six_port, four_port = (free_port() for _ in range(5))
            ports = (
                Port(target=80, published=any_port),
                Port(target=80, published=loop_port, host_ip="127.0.0.1"),
                Port(target=53, published=udp_port, protocol="udp"),
                Port(target=80, published=six_port, host_ip="::1"),
                Port(target=80, published=four_port, host_ip="0.0.0.0"),
            )
            for network in ("four", "six"):
                place = (Attachment(network=network),)
                identity = await start(made, "sleep", "100", name=network, ports=ports, networks=place)
                record = await made.container_get(identity)
                (endpoint,) = record.endpoints
                assert bool(endpoint.ipv6) == (network == "six")
                gateways = (await made.network_get(network)).gateways
                async with serving(made, identity):
                    for address in ("127.0.0.1", "::1", *gateways):
                        assert await connected(address, any_port) == "here", (network, address)
                        assert await asyncio.to_thread(ask_udp, address, udp_port) == "question", (network, address)
                    assert await connected("127.0.0.1", loop_port) == "here"
                    assert await connected(gateways[0], four_port) == "here"
                    for address in ("::1", *gateways[1:]):
                        assert await refused(address, four_port)
                    assert await connected("::1", six_port) == "here"
                    if endpoint.ipv6:
                        assert await connected(endpoint.ipv6, 80) == "here"
                    else:
                        await killed(made, "resolver")
                        assert await eventually("::1", any_port) == "here"
                for address in (gateways[0], "::1"):
                    assert await refused(address, loop_port)
                assert await refused("127.0.0.1", six_port)
                if endpoint.ipv6:
                    assert endpoint.ipv6 in await told(made, identity, "cat /etc/hosts")
                    assert endpoint.ipv6 in await told(made, identity, "nslookup six")
                    assert "six.six" in await told(made, identity, f"nslookup {endpoint.ipv6}")
                # Again at once with the same ports: the relay has let go of them.
                await made.container_restart(identity, timeout=0)
                async with serving(made, identity):
                    assert await connected("::1", any_port) == "here"
                await made.container_remove(identity, force=True)
                assert await refused("::1", any_port)
                await asyncio.to_thread(_free, any_port)

    asyncio.run(body())


def test_joining_and_leaving() -> None:
    async def body() -> None:
        async with engine() as made:
            await busybox(made)
            for name, fields in (("one", {}), ("two", {"enable_ipv6": True}), ("inner", {"internal": True})):
                await made.network_create(NetworkRecord(id="", name=name, **fields))  # type: ignore[arg-type]
            one, two = await made.network_get("one"), await made.network_get("two")
            fixed = one.subnets[0].replace(".0/24", ".77")
            attached = Attachment(network="one", ipv4=fixed, mac="02:00:00:00:00:77", aliases=("first",))
            web = await start(made, "sleep", "100", name="web", networks=(attached, Attachment(network="inner")))
            peer = await start(made, "sleep", "100", name="peer", networks=(Attachment(network="two"),))

            async def way() -> str:
                return (await told(made, web, "ip route | grep default")).split()[2]

            async def links() -> str:
                return " ".join((await told(made, web, "ls /sys/class/net")).split())

            assert (await links(), await way()) == ("eth0 eth1 lo", one.gateways[0])
            assert "02:00:00:00:00:77" in await told(made, web, "cat /sys/class/net/eth0/address")
            # A network of higher priority takes the default route; the name leads there at once.
            await made.network_connect("two", web, Attachment(network="two", priority=5, aliases=("second",)))
            assert (await links(), await way()) == ("eth0 eth1 eth2 lo", two.gateways[0])
            assert two.gateways[1] in await told(made, web, "ip -6 route | grep default")
            record = await made.container_get(web)
            six = next(endpoint.ipv6 for endpoint in record.endpoints if endpoint.network == "two")
            assert six in await told(made, peer, "nslookup second")
            # Other aliases alone break nothing.
            changed = tuple(replace(item, aliases=("third",)) for item in record.spec.networks)
            await made.container_update(web, replace(record.spec, networks=changed))
            assert six in await told(made, peer, "nslookup third")
            assert six not in await told(made, peer, "nslookup second")
            await made.network_disconnect("two", web)
            assert (await links(), await way()) == ("eth0 eth1 lo", one.gateways[0])
            await made.network_disconnect("one", web)
            assert await told(made, web, "ip route | grep default") == ""
            await made.network_connect("one", web, Attachment(network="one"))
            assert (await links(), await way()) == ("eth0 eth1 lo", one.gateways[0])
            # Addresses: taken, of no subnet, of no family.
            with pytest.raises(ConflictError):
                await start(made, "true", name="x", networks=(Attachment(network="two", ipv4=two.gateways[0]),))
            for wrong in (Attachment(network="one", ipv4="192.0.2.9"), Attachment(network="one", ipv6="fd00::9")):
                with pytest.raises(ActionError) as caught:
                    await start(made, "true", name=f"y{len(wrong.ipv6)}", networks=(wrong,))
                assert caught.value.reason == "bad-request"
            # Networks of containers that do not run, and that are shared.
            made_only = await made.container_create(spec("sleep", "100", name="later", network_mode="none"))
            await made.network_connect("two", made_only, Attachment(network="two", ipv6=two.gateways[1][:-1] + "99"))
            await made.container_start(made_only)
            assert two.gateways[1][:-1] + "99" in await told(made, made_only, "ip -6 addr show eth0")
            shared = await start(made, "sleep", "100", name="shared", network_mode=f"container:{web}")
            assert await told(made, shared, "ip addr show eth0") == await told(made, web, "ip addr show eth0")
            none = await start(made, "sleep", "100", name="none", network_mode="none")
            assert (await told(made, none, "ls /sys/class/net")).split() == ["lo"]
            own = (Attachment(network="one", interface="lan0"), Attachment(network="two", gateway_priority=1))
            named = await start(made, "sleep", "100", name="named", networks=own)
            assert (await told(made, named, "ls /sys/class/net")).split() == ["eth0", "lan0", "lo"]
            assert "dev eth0" in await told(made, named, "ip route | grep default")
            host = await start(made, "sleep", "100", name="host", network_mode="host")
            assert one.interface in await told(made, host, "ls /sys/class/net")

    asyncio.run(body())


def test_options_of_the_bridge_and_conflicts_of_ports() -> None:
    async def body() -> None:
        async with engine() as made:
            await busybox(made)
            bridge = f"{made.settings.bridge_prefix}-own"
            options = {"com.docker.network.bridge.name": bridge, "com.docker.network.driver.mtu": "1400"}
            await made.network_create(NetworkRecord(id="", name="own", options=options))
            assert (await made.network_get("own")).interface == bridge
            with pytest.raises(ConflictError):
                await made.network_create(NetworkRecord(id="", name="again", options=options))
            port = free_port()
            web = await start(
                made, "sleep", "100", name="web", networks=(Attachment(network="own"),),
                ports=(Port(target=80, published=port, host_ip="127.0.0.1"),),
            )  # fmt: skip
            assert (await told(made, web, "cat /sys/class/net/eth0/mtu")).strip() == "1400"
            for host_ip, protocol, free in (
                ("", "tcp", False), ("127.0.0.1", "tcp", False), ("127.0.0.2", "tcp", True), ("::", "tcp", True),
                ("::1", "tcp", True), ("", "udp", True),
            ):  # fmt: skip
                asked = (Port(target=80, published=port, host_ip=host_ip, protocol=protocol),)
                other = await made.container_create(spec("sleep", "100", name="other", ports=asked))
                if free:
                    await made.container_start(other)
                else:
                    with pytest.raises(ActionError) as caught:
                        await made.container_start(other)
                    assert caught.value.reason == "port-taken"
                await made.container_remove(other, force=True)

    asyncio.run(body())
