"""The network: what the kernel has, other firewalls and engines, names."""

from __future__ import annotations

from collections.abc import Iterator

from stackfile.engines.embedded.checks import neighbours
from stackfile.engines.embedded.checks.row import Row, judged, read
from stackfile.network import doctor
from stackfile.network.links import Links
from stackfile.settings import Settings


def rows(settings: Settings) -> Iterator[Row]:
    links, mark = Links(), f"stackfile {settings.nft_table}"
    try:
        bridges = {
            link.name: any(
                ":" in address and not address.startswith("fe80:") for address in links.addresses(link.index)
            )
            for link in links.all()
            if link.kind == "bridge" and (link.name.startswith(settings.bridge_prefix) or link.alias == mark)
        }
    finally:
        links.close()
    for check in doctor.checks(settings.nft_table, bridges):
        yield (check.name, check.status, check.found, check.mend)
    yield _names()
    yield from neighbours.rows(settings)


def name_servers() -> list[str]:
    """Addresses that the machine asks (resolv.conf(5))."""
    lines = [line.split() for line in read("/etc/resolv.conf").splitlines()]
    return [words[1] for words in lines if words[:1] == ["nameserver"] and len(words) > 1]


def _names() -> Row:
    """Servers for the names that are no containers'."""
    servers = name_servers()
    found = (
        f"asks {', '.join(servers)}"
        if servers
        else "/etc/resolv.conf names no server: containers find each other alone"
    )
    return judged("names", bool(servers), found, "add a line `nameserver ADDRESS` to /etc/resolv.conf")
