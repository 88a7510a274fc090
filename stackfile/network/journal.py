"""The journal of intents, as the network code needs it; the engine passes its own over run.db."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from stackfile.model.container import NetworkRecord


@dataclass(frozen=True, slots=True)
class Intent:
    """An effect that was announced and not yet settled. `data` is plain JSON."""

    id: int
    kind: str
    key: str
    data: Mapping[str, str]

    def network(self) -> NetworkRecord:
        """The network of an intent whose data is `data_of` one."""
        return NetworkRecord(
            id=self.key,
            name=self.data["name"],
            interface=self.data["bridge"],
            subnets=tuple(self.data["subnets"].split()),
            internal=bool(self.data["internal"]),
        )


def data_of(network: NetworkRecord) -> dict[str, str]:
    """What has to be known of a network to take it away."""
    return {
        "name": network.name,
        "bridge": network.interface,
        "subnets": " ".join(network.subnets),
        "internal": "1" if network.internal else "",
    }


class Journal(Protocol):
    """Intents survive a killed process and go with a reboot.

    Kinds that start with `network.` belong to NetworkManager: its `setup` settles them, nobody else touches them. Some
    stay open as long as the effect lasts (an old sysctl value to restore).
    """

    def begin(self, kind: str, key: str, data: Mapping[str, str]) -> int:
        """Record an intent before its effect; returns its id."""
        ...

    def done(self, id: int) -> None:  # noqa: A002
        """The effect is complete (or undone): forget the intent."""
        ...

    def entries(self) -> Sequence[Intent]:
        """Open intents, oldest first."""
        ...
