"""Who else makes containers or rules on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator

from stackfile.engines.embedded.checks.row import OK, Row, read
from stackfile.errors import KernelError
from stackfile.kernel.nftables import Family, Nftables
from stackfile.network import table
from stackfile.settings import Settings

_PROGRAMS = {
    "dockerd": "Docker", "containerd": "containerd", "podman": "Podman", "crio": "CRI-O", "kubelet": "Kubernetes",
    "k3s-server": "k3s", "libvirtd": "libvirt", "virtqemud": "libvirt", "firewalld": "firewalld",
}  # fmt: skip
_FIREWALLS = ("firewalld", "ufw")


def rows(settings: Settings) -> Iterator[Row]:
    running = {_PROGRAMS[name] for name in _commands() if name in _PROGRAMS}
    if "ENABLED=yes" in read("/etc/ufw/ufw.conf").splitlines():
        running.add("ufw")
    engines = sorted(running - set(_FIREWALLS))
    own = [name for name in _engines() if name != settings.nft_table]
    engines += [f"stackfile with the nftables table {name}" for name in own]
    found = f"{', '.join(engines)}; names, subnets and rules are kept apart" if engines else "none"
    yield ("other engines", OK, found, "")
    firewalls = sorted(running & set(_FIREWALLS))
    found = f"{', '.join(firewalls)}; published ports go around what comes in, as Docker's do" if firewalls else "none"
    yield ("firewall managers", OK, found, "")


def _commands() -> set[str]:
    """Names of the running programs (proc_pid_comm(5): at most 15 bytes)."""
    return {read(f"/proc/{pid}/comm") for pid in os.listdir("/proc") if pid.isdigit()}


def _engines() -> list[str]:
    """Tables of engines of ours in this network namespace."""
    try:
        with Nftables() as kernel:
            return [name for name, comment in kernel.tables(Family.INET).items() if comment == table.LAYOUT]
    except KernelError:
        return []
