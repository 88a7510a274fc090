"""Published ports are kept for us by sockets that are bound and never listen; the supervisor holds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Holder(Protocol):
    """What this module needs of the supervisor's client."""

    def hold(self, key: str, fds: Sequence[int]) -> None: ...
    def fetch(self, key: str) -> list[int]: ...
    def drop(self, prefix: str) -> None: ...
    def keys(self, prefix: str = "") -> list[str]: ...
