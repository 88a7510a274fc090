"""Settings of an engine: one table that gives name, environment variable, default and help.

Every setting can be set by environment variable, so that any number of engines live side by side, each with its own
roots, bridge names, nftables table, cgroup parent and address pool.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from stackfile.errors import UsageError


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table. `variable` is the environment variable that overrides `default`."""

    name: str
    variable: str
    default: str
    help: str


TABLE: tuple[Setting, ...] = (
    Setting("root", "STACKFILE_ROOT", "/var/lib/stackfile", "state root: images, volumes, specs"),
    Setting("run", "STACKFILE_RUN", "/run/stackfile", "run root: sockets, FIFOs, what a reboot empties"),
    Setting("bridge_prefix", "STACKFILE_BRIDGE_PREFIX", "sf", "prefix of interface names (at most 5 bytes)"),
    Setting("nft_table", "STACKFILE_NFT_TABLE", "stackfile", "name of the nftables table"),
    Setting("cgroup_parent", "STACKFILE_CGROUP_PARENT", "stackfile", "cgroup below which containers live"),
    Setting("address_pool", "STACKFILE_ADDRESS_POOL", "10.89.0.0/16", "IPv4 pool that networks take a /24 from"),
    Setting(
        "insecure_registries", "STACKFILE_INSECURE_REGISTRIES", "", "registries spoken to without TLS: HOST[:PORT], …"
    ),
    Setting("registry_ca", "STACKFILE_REGISTRY_CA", "", "CA certificates for registries; empty: the machine's"),
    Setting("address_pool6", "STACKFILE_ADDRESS_POOL6", "fd89:5f::/48", "IPv6 pool that networks take a /64 from"),
    Setting("socket_group", "STACKFILE_SOCKET_GROUP", "", "group that may use the daemon's socket; empty: root only"),
    Setting("init", "STACKFILE_INIT", "", "pid 1 of containers with `init: true`, as tini; empty: stackfile's own"),
    Setting("log_level", "STACKFILE_LOG_LEVEL", "info", "level of the daemon's log"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one engine, all of them text; paths are absolute."""

    root: str
    run: str
    bridge_prefix: str
    nft_table: str
    cgroup_parent: str
    address_pool: str
    address_pool6: str
    log_level: str
    insecure_registries: str = ""
    """Separated by commas. Loopback addresses need not be named."""
    registry_ca: str = ""
    """Path of a PEM file."""
    socket_group: str = ""
    init: str = ""
    """Path of a program that takes `-- COMMAND` and may run in every container, so a static one."""

    @property
    def socket(self) -> str:
        """Path of the daemon's HTTP socket."""
        return f"{self.run}/stackfile.sock"

    def environment(self) -> dict[str, str]:
        """The variables that give a child process these settings."""
        return {row.variable: getattr(self, row.name) for row in TABLE}


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from `environ` (the process's by default).

    Raises UsageError (`bad-setting`) for a relative path or a prefix that makes interface names too long.
    """
    source = os.environ if environ is None else environ
    values = {row.name: source.get(row.variable) or row.default for row in TABLE}
    # What other clients of registries call it; the daemon is started with our own variables alone.
    values["registry_ca"] = (
        values["registry_ca"] or source.get("REQUESTS_CA_BUNDLE") or source.get("SSL_CERT_FILE") or ""
    )
    for name in filter(values.get, ("root", "run", "init")):
        if not values[name].startswith("/"):
            raise UsageError("bad-setting", f"{name} must be an absolute path, not {values[name]!r}")
        values[name] = os.path.normpath(values[name])
    if len(values["bridge_prefix"].encode()) > 5:
        raise UsageError("bad-setting", f"bridge prefix {values['bridge_prefix']!r} is longer than 5 bytes")
    return Settings(**values)
