"""Environment, hosts and resolv.conf."""

from __future__ import annotations

from stackfile.engines.embedded.process import environment, hosts, resolv_conf
from stackfile.model.container import ContainerSpec, Endpoint
from stackfile.model.stack import SecretRef

MACHINE = "# comment\nnameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch old\nsearch example.org corp\noptions edns0\n"


def test_secrets_are_put_in_and_none_says_nothing() -> None:
    spec = ContainerSpec(environment={"A": "1", "TOKEN": SecretRef("token"), "FROM_IMAGE": None})
    assert environment(spec, {"token": "s3cret"}) == ("A=1", "TOKEN=s3cret")


def test_hosts_names_the_container_and_its_extra_hosts() -> None:
    endpoint = Endpoint(network="n", network_id="i", ipv4="10.1.0.2", gateway="10.1.0.1")
    spec = ContainerSpec(
        domainname="lan", extra_hosts=("db=192.0.2.9", "old:192.0.2.8", "six=[2001:db8::1]", "host=host-gateway")
    )
    lines = hosts(spec, "web", [endpoint]).splitlines()
    assert lines[-1] == "10.1.0.2\tweb.lan web"
    assert lines[-5:-1] == ["192.0.2.9\tdb", "192.0.2.8\told", "2001:db8::1\tsix", "10.1.0.1\thost"]


def test_resolv_conf_with_our_resolver() -> None:
    text = resolv_conf(ContainerSpec(), MACHINE, own_resolver=True)
    assert text == "nameserver 127.0.0.11\nsearch example.org corp\noptions ndots:0\n"


def test_resolv_conf_as_asked_for() -> None:
    spec = ContainerSpec(dns=("192.0.2.5",), dns_search=(".",), dns_options=("ndots:3",))
    assert resolv_conf(spec, MACHINE, own_resolver=True) == "nameserver 127.0.0.11\noptions ndots:3\n"
    assert resolv_conf(spec, MACHINE, own_resolver=False) == "nameserver 192.0.2.5\noptions ndots:3\n"


def test_resolv_conf_of_the_machine() -> None:
    text = resolv_conf(ContainerSpec(), MACHINE, own_resolver=False)
    assert text == "nameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch example.org corp\n"
