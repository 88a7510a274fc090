"""Making and taking away: nothing is left, everything can be repeated, others are not disturbed."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from stackfile.errors import ConflictError
from stackfile.kernel.namespace import inside
from stackfile.model.container import NetworkRecord
from stackfile.network import doctor, sysctl
from stackfile.network.manager import NetworkManager
from stackfile.network.publication import Publication
from tests.integration.netlab import (
    MACHINE,
    OTHER,
    OTHER6,
    Host,
    Lab,
    MemoryHolder,
    MemoryJournal,
    laboratory,
    shell,
    state,
)

pytestmark = pytest.mark.root

DOCKER = """
add table ip filter
add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }
add chain ip filter DOCKER-USER
add rule ip filter FORWARD counter jump DOCKER-USER
add rule ip filter DOCKER-USER ip saddr 198.51.100.7 drop
add rule ip filter DOCKER-USER counter return
"""
FIREWALLD = """
add table inet firewalld
add chain inet firewalld filter_FORWARD { type filter hook forward priority 10; policy accept; }
add rule inet firewalld filter_FORWARD ct state established,related accept
add rule inet firewalld filter_FORWARD reject with icmpx admin-prohibited
"""
UFW = """
add table ip filter
add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }
add rule ip filter FORWARD ip saddr 198.51.100.7 drop
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    with laboratory() as made:
        yield made


def load(rules: str) -> None:
    shell(f"nft -f - <<'END'\n{rules}\nEND")


def test_nothing_is_left_after_removal(lab: Lab) -> None:
    other = lab.other_host()
    before = state()
    first, second = lab.network(1), lab.network(2, internal=True)
    container = lab.container(first, 2)
    lab.manager.publish([Publication("tcp", "", 8080, ((container.address, 80), ("10.77.1.3", 80)))])
    assert lab.reaches(other.netns, MACHINE, 8080)
    assert state() != before
    lab.end(container)
    for network in (first, second):
        lab.manager.remove(network)
        lab.manager.remove(network)
    assert state() == before
    assert lab.manager.links() == []
    assert lab.journal.entries() == []


def test_teardown_takes_everything(lab: Lab) -> None:
    before = state()
    container = lab.container(lab.network(1), 2)
    lab.network(2)
    lab.manager.publish([Publication("tcp", "", 8080, ((container.address, 80),))])
    lab.manager.teardown()
    lab.manager.teardown()
    assert state() == before
    assert lab.journal.entries() == []


def test_interfaces_end_with_the_namespace(lab: Lab) -> None:
    network = lab.network(1)
    container = lab.container(network, 2)
    assert len(lab.manager.links()) == 2
    lab.end(container)
    deadline = time.monotonic() + 3
    while len(lab.manager.links()) > 1 and time.monotonic() < deadline:
        time.sleep(0.005)
    lab.manager.detach("net1-2", network, None, container.endpoint)
    assert lab.manager.links() == [network.interface]
    assert shell("ip neigh show nud permanent") == ""


def test_detach_from_a_living_namespace(lab: Lab) -> None:
    network = lab.network(1)
    container = lab.container(network, 2)
    for _ in range(2):
        lab.manager.detach("net1-2", network, container.netns, container.endpoint)
    assert lab.manager.links() == [network.interface]
    assert not lab.reaches(lab.netns, container.address)
    endpoint = lab.endpoint(network, 9)
    lab.manager.attach("net1-2", container.netns, "eth0", network, endpoint, True)
    assert lab.reaches(lab.netns, endpoint.ipv4)


def test_attach_can_be_repeated(lab: Lab) -> None:
    network = lab.network(1)
    container = lab.container(network, 2)
    assert container.endpoint is not None
    lab.manager.attach("net1-2", container.netns, "eth0", network, container.endpoint, True)
    assert lab.reaches(lab.netns, container.address) == container.address
    second = lab.network(2)
    with pytest.raises(ConflictError):
        lab.manager.attach("net1-2", container.netns, "eth0", second, lab.endpoint(second, 2), False)
    lab.manager.attach("net1-2", container.netns, "eth1", second, lab.endpoint(second, 2), False)
    assert lab.reaches(lab.netns, "10.77.2.2") == container.address
    with inside(container.netns):
        assert shell("ip route show default").split()[:3] == ["default", "via", "10.77.1.1"]


def test_a_waiting_pair_that_somebody_deleted_is_made_again(lab: Lab) -> None:
    network = lab.network(1)
    ready, endpoint = lab.manager.wire(), lab.endpoint(network, 2)
    shell(f"ip link delete {ready.link}")
    lab.manager.attach_wired("c", ready, network, endpoint, True)
    ready.route.close()
    host = Host(ready.netns, endpoint.ipv4, endpoint)
    lab.hosts.append(host)
    host.serve(80)
    assert lab.reaches(lab.netns, endpoint.ipv4) == endpoint.ipv4


def test_container_namespace_is_as_dockers(lab: Lab) -> None:
    container = lab.container(lab.network(1), 2)
    with inside(container.netns):
        assert shell("cat /proc/sys/net/ipv4/ip_unprivileged_port_start") == "0\n"
        addresses = [line.split() for line in shell("ip -br addr").splitlines()]
    rows = {row[0].partition("@")[0]: row[1:] for row in addresses}
    assert rows["lo"] == ["UNKNOWN", "127.0.0.1/8", "::1/128"]
    assert rows["eth0"] == ["UP", "10.77.1.2/24"]


def test_create_mends_what_is_missing(lab: Lab) -> None:
    other = lab.other_host()
    network = lab.network(1)
    container = lab.container(network, 2)
    entries = [Publication("tcp", "", 8080, ((container.address, 80),))]
    lab.manager.publish(entries)
    shell("nft delete table inet stackfile-test; sysctl -qw net.ipv4.ip_forward=0")
    facts = lab.manager.facts(network)
    assert (facts.bridge, facts.elements, facts.forwarding, facts.complete) == (True, False, False, False)
    lab.manager.create(network)
    lab.manager.publish(entries)
    facts = lab.manager.facts(network)
    assert facts.complete
    assert facts.addresses == ("10.77.1.1/24",)
    assert len(facts.ports) == 1
    assert lab.reaches(other.netns, MACHINE, 8080) == container.address


def test_killed_between_intent_and_effect(lab: Lab) -> None:
    """A network that was being made when the process died is taken away at the next start."""
    before = state()
    lab.network(1)
    record = NetworkRecord(id="01" * 32, name="net1", subnets=("10.77.1.0/24",), gateways=("10.77.1.1",))
    data = {"name": "net1", "bridge": "tst0101010101", "subnets": record.subnets[0], "internal": ""}
    lab.journal.begin("network.create", record.id, data)
    restarted = lab.new_manager()
    restarted.setup()
    restarted.close()
    assert state() == before
    assert lab.journal.entries() == []


def test_restart_keeps_networks(lab: Lab) -> None:
    network = lab.network(1)
    container = lab.container(network, 2)
    lab.manager.publish([Publication("tcp", "", 8080, ((container.address, 80),))])
    before = state()
    restarted = lab.new_manager()
    restarted.setup()
    restarted.create(network)
    restarted.publish([Publication("tcp", "", 8080, ((container.address, 80),))])
    restarted.close()
    assert state() == before
    assert lab.reaches(lab.netns, "127.0.0.1", 8080) == container.address


def test_table_of_another_layout_is_replaced(lab: Lab) -> None:
    shell("nft 'add table inet stackfile-test; add chain inet stackfile-test old'")
    network = lab.network(1)
    assert "old" not in shell("nft list table inet stackfile-test")
    lab.manager.remove(network)
    assert shell("nft list tables") == ""


def test_forwarding_stays_on_where_others_rely_on_it(lab: Lab) -> None:
    network = lab.network(1)
    shell("ip link add docker0 type bridge")
    lab.manager.remove(network)
    assert shell("cat /proc/sys/net/ipv4/ip_forward") == "1\n"
    assert lab.journal.entries() == []


def test_forwarding_that_was_on_stays_on(lab: Lab) -> None:
    shell("sysctl -qw net.ipv4.ip_forward=1")
    lab.manager.remove(lab.network(1))
    assert shell("cat /proc/sys/net/ipv4/ip_forward") == "1\n"


def other_engine(lab: Lab) -> tuple[NetworkManager, NetworkRecord]:
    """A second engine on the same machine, with a network of its own."""
    manager = NetworkManager(
        prefix="oth", table="stackfile-other", pool="10.78.0.0/16", pool6="fd78::/48",
        supervisor=MemoryHolder(), journal=MemoryJournal(),
    )  # fmt: skip
    subnets, gateways = ("10.78.1.0/24", "fd78:0:0:1::/64"), ("10.78.1.1", "fd78:0:0:1::1")
    return manager, manager.create(NetworkRecord(id="aa" * 32, name="other", subnets=subnets, gateways=gateways))


@pytest.mark.parametrize("first_goes_first", [True, False])
def test_forwarding_ends_with_the_last_engine(lab: Lab, first_goes_first: bool) -> None:
    """The engine that found it off may go before one that found it on: that one restores it then."""
    before = state()
    network = lab.network(1, ipv6=True)
    manager, other = other_engine(lab)
    pairs = [(lab.manager, network), (manager, other)]
    for one, record in pairs if first_goes_first else reversed(pairs):
        assert sysctl.read(sysctl.FORWARD) == sysctl.read(sysctl.FORWARD6) == "1"
        one.remove(record)
    manager.close()
    assert state() == before
    assert lab.journal.entries() == []


def test_handed_over_forwarding_stays_on_where_others_rely_on_it(lab: Lab) -> None:
    network = lab.network(1)
    manager, other = other_engine(lab)
    lab.manager.remove(network)
    shell("ip link add docker0 type bridge")
    manager.remove(other)
    manager.close()
    assert sysctl.read(sysctl.FORWARD) == "1"
    assert shell("nft list tables") == ""


def test_subnet_is_chosen_beside_routes_and_addresses(lab: Lab) -> None:
    shell(
        "ip link add x type bridge; ip link set x up; ip addr add 10.77.0.9/24 dev x; ip route add 10.77.1.0/25 dev x"
    )
    assert lab.manager.choose_subnet(["10.77.2.0/24"]) == ("10.77.3.0/24", "10.77.3.1")


def test_overlapping_subnet_is_a_conflict(lab: Lab) -> None:
    network = lab.network(1)
    with pytest.raises(ConflictError) as caught:
        lab.manager.create(replace(network, id="ff" * 32, name="double"))
    assert caught.value.reason == "conflict"
    assert len(lab.manager.links()) == 1


LEGACY = {
    "policy": "iptables-legacy -P FORWARD DROP; ip6tables-legacy -P FORWARD DROP",
    "rule": "iptables-legacy -A FORWARD -j REJECT; ip6tables-legacy -A FORWARD -j DROP",
    "docker": "iptables-legacy -N DOCKER-USER; iptables-legacy -A DOCKER-USER -s 198.51.100.7 -j DROP;"
    "iptables-legacy -A DOCKER-USER -j RETURN; iptables-legacy -A FORWARD -j DOCKER-USER;"
    "iptables-legacy -P FORWARD DROP; ip6tables-legacy -P FORWARD DROP",
}


@pytest.mark.skipif(shutil.which("iptables-legacy") is None, reason="needs iptables-legacy")
@pytest.mark.parametrize("rules", LEGACY.values(), ids=LEGACY)
def test_iptables_legacy_lets_us_through(lab: Lab, rules: str) -> None:
    lab.other_host()
    try:
        shell(rules)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"this kernel has no iptables-legacy: {error.stderr}")
    listed = "iptables-legacy -S; ip6tables-legacy -S"
    before = shell(listed)
    lab.manager.remove(lab.network(1, ipv6=True))
    assert shell(listed) == before
    network = lab.network(1, ipv6=True)
    container = lab.container(network, 2)
    assert lab.reaches(container.netns, OTHER) == OTHER
    assert lab.reaches(container.netns, OTHER6) == OTHER
    assert lab.manager.facts(network).dropped_by == ()
    shell("iptables-legacy -F; iptables-legacy -P FORWARD DROP")
    assert lab.manager.facts(network).dropped_by == ("iptables-legacy filter FORWARD",)
    assert [check.status for check in checks(lab) if check.name == "forward drop"] == ["warning", "ok"]
    lab.manager.create(network)
    assert lab.manager.facts(network).dropped_by == ()
    lab.end(container)
    lab.manager.remove(network)
    assert "stackfile" not in shell(listed)


@pytest.mark.parametrize("rules", [DOCKER, FIREWALLD, UFW], ids=["docker", "firewalld", "ufw"])
@pytest.mark.parametrize("calls", ["0", "1"])
def test_other_firewalls_let_us_through(lab: Lab, rules: str, calls: str) -> None:
    if os.path.exists("/proc/sys/net/bridge"):
        shell(f"sysctl -qw net.bridge.bridge-nf-call-iptables={calls}")
    other = lab.other_host()
    load(rules)
    before = state()
    network = lab.network(1)
    first, second = lab.container(network, 2), lab.container(network, 3)
    lab.manager.publish([Publication("tcp", "", 8080, ((first.address, 80),))])
    assert lab.reaches(other.netns, MACHINE, 8080) == first.address
    assert lab.reaches(first.netns, other.address) == other.address
    assert lab.reaches(first.netns, second.address) == second.address
    assert not lab.reaches(other.netns, second.address)
    assert lab.manager.facts(network).dropped_by == ()
    lab.manager.create(network)
    assert shell("nft list ruleset").count("stackfile stackfile-test") == 2
    lab.end(first)
    lab.end(second)
    lab.manager.remove(network)
    assert state() == before


def checks(lab: Lab) -> list[doctor.Check]:
    """What the doctor says of this machine."""
    return doctor.checks("stackfile-test", {name: True for name in lab.manager.links() if name[3] != "v"})


def test_firewall_that_comes_later_is_drift(lab: Lab) -> None:
    network = lab.network(1)
    load(UFW)
    assert lab.manager.facts(network).dropped_by == ("ip filter FORWARD",)
    assert [check.status for check in checks(lab) if check.name == "forward drop"] == ["warning"]
    lab.manager.create(network)
    assert lab.manager.facts(network).dropped_by == ()
    assert all(check.status == "ok" for check in checks(lab))


def test_administrators_rules_come_before_ours(lab: Lab) -> None:
    load(DOCKER)
    lab.network(1)
    lines = shell("nft list chain ip filter DOCKER-USER").splitlines()
    rules = [line.split()[0] for line in lines[2:-2]]
    assert rules == ["ip", "iifname", "oifname", "counter"]


def test_rules_that_stand_in_the_wrong_chain_go_to_the_right_one(lab: Lab) -> None:
    """While Docker starts anew nothing leads to its chain for a moment, and our rules go where they then belong."""
    load(DOCKER)
    network = lab.network(1)
    before = shell("nft list ruleset")
    shell("nft flush chain ip filter FORWARD")
    assert lab.manager.hindered([network]) == [network]
    lab.manager.create(network)
    assert shell("nft list chain ip filter FORWARD").count("stackfile stackfile-test") == 2
    shell("nft add rule ip filter FORWARD counter jump DOCKER-USER")
    assert lab.manager.hindered([network]) == [network]
    lab.manager.create(network)
    assert shell("nft list ruleset") == before
    assert lab.manager.hindered([network]) == []


def test_table_that_takes_no_rules_of_others(lab: Lab) -> None:
    """As firewalld's with NftablesTableOwner: nobody but its owner may mend that, so it is told, and not tried."""
    rules = FIREWALLD.replace("add table inet firewalld\n", "add table inet firewalld { flags owner; }\n")
    owner = subprocess.Popen(["nft", "-i"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert owner.stdin is not None
    try:
        owner.stdin.write(rules)
        owner.stdin.flush()
        deadline = time.monotonic() + 10
        while "reject" not in shell("nft list ruleset"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        network = lab.network(1)
        facts = lab.manager.facts(network)
        assert facts.dropped_by == facts.sealed == ("inet firewalld filter_FORWARD",)
        assert lab.manager.hindered([network]) == []
        (row,) = [check for check in checks(lab) if check.name == "forward drop"]
        assert row.status == "warning"
        assert "NftablesTableOwner" in row.mend
    finally:
        owner.stdin.close()
        owner.wait(10)
