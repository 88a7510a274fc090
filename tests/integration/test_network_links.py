"""Links of a network namespace, against what ip(8) says of them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from stackfile.kernel.namespace import fresh
from stackfile.network.links import Link, Links, Route

pytestmark = pytest.mark.root

HARDWARE = "02:42:0a:59:00:01"
ADDRESSES = ["10.89.0.1/24", "fd89::1/64"]


@pytest.fixture
def links() -> Iterator[Links]:
    with fresh() as netns:
        made = Links()
        try:
            yield made
        finally:
            made.close()
            os.close(netns)


def ip(*args: str) -> list[dict[str, Any]]:
    out = subprocess.run(["ip", "-j", "-d", *args], capture_output=True, text=True, check=True).stdout
    return list(json.loads(out))


def test_a_bridge(links: Links) -> None:
    for _ in range(2):  # one that is there is kept
        links.create_bridge("sfbr", HARDWARE, ADDRESSES, mtu=1400, alias="stackfile x")
    (shown,) = ip("address", "show", "dev", "sfbr")
    assert (shown["address"], shown["mtu"], shown["ifalias"]) == (HARDWARE, 1400, "stackfile x")
    assert "UP" in shown["flags"]
    data = shown["linkinfo"]["info_data"]
    assert [data[f"nf_call_{kind}"] for kind in ("iptables", "ip6tables", "arptables")] == [0, 0, 0]
    assert {f"{item['local']}/{item['prefixlen']}" for item in shown["addr_info"]} == set(ADDRESSES)
    assert not any(item.get("tentative") for item in shown["addr_info"])
    index = shown["ifindex"]
    assert Link(index, "sfbr", "bridge", 0, True, "stackfile x") in links.all()
    assert set(links.addresses(index)) == set(ADDRESSES)


def test_routes_and_what_is_deleted(links: Links) -> None:
    links.create_bridge("sfbr", HARDWARE, ADDRESSES)
    index = next(link.index for link in links.all() if link.name == "sfbr")
    subprocess.run(["ip", "route", "add", "default", "via", "10.89.0.2"], check=True)
    subprocess.run(["ip", "route", "add", "203.0.113.0/24", "via", "10.89.0.2", "table", "7"], check=True)
    found = links.routes()
    assert {Route("10.89.0.0/24", index), Route("fd89::/64", index), Route("203.0.113.0/24", index)} <= set(found)
    assert not any(route.destination.endswith("/0") for route in found)
    links.delete("sfbr", "sfnone")
    assert not any(link.name == "sfbr" for link in links.all())
    assert not any(route.link == index for route in links.routes())
