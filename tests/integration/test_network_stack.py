"""A stack with networks of every kind, as a user runs it: nothing changes when nothing changed."""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import closing

import pytest

from stackfile.kernel.namespace import inside
from tests.conftest import Box
from tests.integration.netlab import BUSYBOX_STACK

pytestmark = pytest.mark.root

SERVICES = """services:
  web:
    <<: *app
    ports: ["{low}-{high}:80", "[::1]:{six}:80", "{udp}:53/udp"]
    networks: {{six: {{aliases: [www], priority: 9}}, given: {{ipv6_address: "{prefix}:7::77"}}, inner: }}
  peer:
    <<: *app
    network_mode: service:web
    depends_on: [web]
networks:
  six: {{enable_ipv6: true, driver_opts: {{com.docker.network.driver.mtu: "{mtu}"}}}}
  given: {{ipam: {{config: [{{subnet: "{prefix}:7::/64"}}]}}}}
  inner: {{internal: true}}
"""


def free_ports(count: int) -> list[int]:
    """Ports that are free in both families, the first two neighbours."""
    while True:
        with closing(socket.socket(socket.AF_INET6)) as probe:
            probe.bind(("::", 0))
            first = int(probe.getsockname()[1])
        if first + count < 65536 and all(_is_free(first + number) for number in range(count)):
            return list(range(first, first + count))


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True).close()
    except OSError:
        return False
    return True


def test_stack_with_every_kind_of_network(box: Box) -> None:
    low, high, six, udp = free_ports(4)
    prefix = box.settings.address_pool6.partition("::")[0]
    values = {"low": low, "high": high, "six": six, "udp": udp, "prefix": prefix}
    box.stack(BUSYBOX_STACK + SERVICES.format(mtu=1400, **values))
    box.run("up", "-d")
    web = next(entry for entry in box.containers() if entry["service"] == "web")
    (details,) = box.json("container", "inspect", web["id"])
    pid = details["state"]["pid"]
    netns = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    with inside(netns):
        server = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True)
        addresses = subprocess.run(["ip", "-6", "-br", "addr"], capture_output=True, text=True, check=True).stdout
        mtu = subprocess.run(["ip", "link", "show", "eth0"], capture_output=True, text=True, check=True).stdout
    os.close(netns)
    with closing(server):
        assert f"{prefix}:7::77/64" in addresses
        assert "mtu 1400" in mtu
        for address, port in (("127.0.0.1", low), ("::1", low), ("::1", six)):
            with closing(socket.create_connection((address, port), 2)):
                server.settimeout(2)
                server.accept()[0].close()
    # Nothing is to be done, also where the engine chose subnets, gateways, addresses and a port.
    plan = box.run("plan", "--exit-code").stdout
    assert "up to date" in plan, plan
    box.run("drift", "--exit-code")
    # An option of a network: it is made anew below its containers, which keep running.
    box.stack(BUSYBOX_STACK + SERVICES.format(mtu=1300, **values))
    assert "mtu" in box.run("plan").stdout
    box.run("up", "-d")
    assert box.run("exec", "peer", "cat", "/sys/class/net/eth0/mtu").stdout.strip() in ("1300", "1500")
    after = next(entry for entry in box.containers() if entry["service"] == "web")
    assert after["id"] == web["id"]
    # Nobody listens any more, but the way to the container is there: it refuses, and the relay passes that on.
    with closing(socket.create_connection(("::1", six), 2)) as client:
        assert client.recv(1) == b""
    box.run("drift", "--exit-code")
    box.run("down", "-v")
