"""What this machine offers, and what stands in the way: `system doctor` of a running engine."""

from __future__ import annotations

import asyncio

from stackfile.engines.embedded import checks
from stackfile.engines.embedded.checks import MISSING, OK, WARNING, Row
from stackfile.engines.embedded.checks.network import name_servers
from stackfile.engines.embedded.core import Core

_DNS = 53


class Doctor:
    """Looks at the machine and at the engine's other processes; changes nothing."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def check(self) -> list[Row]:
        """All findings: the machine's, then the engine's."""
        rows = await asyncio.to_thread(checks.machine, self._core.settings)
        return [*rows, *self._snapshots(), *(self._process(name) for name in ("shim", "resolver")), *self._loop()]

    def _snapshots(self) -> list[Row]:
        if self._core.snapshots.kind == "overlay":
            return []
        mend = "put STACKFILE_ROOT on ext4, xfs or btrfs: containers then share their image's files"
        return [("snapshots", WARNING, f"{self._core.snapshots.kind}: every container has a copy of its image", mend)]

    def _process(self, name: str) -> Row:
        status = self._core.supervisor.status().get(name)
        if status is None or not status.pid:
            return (name, MISSING, "does not run", f"see {self._core.run_paths.log(name)}")
        return (name, OK, f"pid {status.pid}, {status.restarts} restarts", "")

    def _loop(self) -> list[Row]:
        """A container that is the machine's own name server must not ask us, who ask the machine's."""
        servers = set(name_servers())
        for key in self._core.network.published():
            asked = servers & {key.host_ip} if key.host_ip else {one for one in servers if one.startswith("127.")}
            if key.protocol == "udp" and key.host_port == _DNS and asked:
                found = f"the machine asks {min(asked)}, which is a container of ours ({key})"
                return [("names loop", WARNING, found, "give that service `dns:` with servers outside of this machine")]
        return []
