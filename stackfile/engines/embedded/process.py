"""What a container's program sees: environment, /etc/hosts, /etc/resolv.conf. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stackfile.model.container import ContainerSpec, Endpoint
from stackfile.model.stack import SecretRef

RESOLVER = "127.0.0.11"


def environment(spec: ContainerSpec, secrets: Mapping[str, str]) -> tuple[str, ...]:
    """The spec's own variables as `NAME=value`; `secrets` maps names of secrets to their contents.

    A value of None passes the image's through, so nothing is said of it.
    """
    rows = []
    for name, value in spec.environment.items():
        if isinstance(value, SecretRef):
            rows.append(f"{name}={secrets[value.secret]}")
        elif value is not None:
            rows.append(f"{name}={value}")
    return tuple(rows)


def hosts(spec: ContainerSpec, hostname: str, endpoints: Sequence[Endpoint]) -> str:
    """Text of /etc/hosts. `host-gateway` in extra_hosts is the gateway of the first network."""
    lines = [
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "ff00::0\tip6-mcastprefix",
        "ff02::1\tip6-allnodes",
        "ff02::2\tip6-allrouters",
    ]
    gateway = next((endpoint.gateway for endpoint in endpoints if endpoint.gateway), "")
    for entry in spec.extra_hosts:
        name, address = _extra_host(entry)
        lines.append(f"{gateway if address == 'host-gateway' else address}\t{name}")
    names = f"{hostname}.{spec.domainname} {hostname}" if spec.domainname else hostname
    own = [address for endpoint in endpoints for address in (endpoint.ipv4, endpoint.ipv6) if address]
    lines += [f"{address}\t{names}" for address in own]
    return "\n".join(lines) + "\n"


def resolv_conf(spec: ContainerSpec, host: str, *, own_resolver: bool) -> str:
    """Text of /etc/resolv.conf: our resolver where the container has networks, else the machine's (`host`) file.

    The spec's dns, dns_search and dns_options override (search `.` means none).
    """
    servers = [RESOLVER] if own_resolver else list(spec.dns) or _values(host, "nameserver")
    search = list(spec.dns_search) or _values(host, "search")
    options = list(spec.dns_options)
    if own_resolver and not any(option.startswith("ndots:") for option in options):
        options.append("ndots:0")
    lines = [f"nameserver {server}" for server in servers]
    if search and search != ["."]:
        lines.append("search " + " ".join(search))
    if options:
        lines.append("options " + " ".join(options))
    return "\n".join(lines) + "\n"


def _extra_host(entry: str) -> tuple[str, str]:
    """`name=address` or Docker's `name:address` (where the address may be an IPv6 one)."""
    separator = "=" if "=" in entry else ":"
    name, _, address = entry.partition(separator)
    return name, address.strip("[]")


def _values(text: str, keyword: str) -> list[str]:
    """Words after a keyword; of `search` the last line counts, as in resolv.conf(5)."""
    rows = [line.split()[1:] for line in text.splitlines() if line.split()[:1] == [keyword]]
    if keyword == "search":
        return rows[-1] if rows else []
    return [word for row in rows for word in row[:1]]
