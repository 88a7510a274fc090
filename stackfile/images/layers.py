"""Unpacked layers: `layers/<hex of chain id>`, each once, as overlay wants them (whiteouts as 0/0 devices)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from stackfile.images import durable
from stackfile.paths import StatePaths


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer of an image: digest and bytes of its uncompressed tar, and where it stands on top of which others."""

    diff_id: str
    chain_id: str
    size: int = 0


class LayerStore:
    """Directories of layers. One is either absent or whole: it is filled under a temporary name and renamed."""

    def __init__(self, paths: StatePaths) -> None:
        self.root = paths.layers
        self.temporary = paths.temporary

    def path(self, chain_id: str) -> str:
        return f"{self.root}/{chain_id.partition(':')[2]}"

    def has(self, chain_id: str) -> bool:
        return os.path.isdir(self.path(chain_id))

    def stage(self) -> str:
        """A new directory to fill and then `publish`."""
        return durable.temporary_directory(self.temporary, "layer-")

    def publish(self, directory: str, chain_id: str) -> None:
        """Move a filled, synced directory into place; if the layer is there already, drop `directory`."""
        durable.publish_directory(directory, self.path(chain_id))

    def remove(self, chain_id: str) -> None:
        """Remove a layer; its files go when the store is swept. Absent ones are no error."""
        durable.bury(self.path(chain_id), self.temporary)

    def list(self) -> Iterator[str]:
        """Chain ids of all layers that are here."""
        try:
            names = os.listdir(self.root)
        except FileNotFoundError:
            return
        yield from (f"sha256:{name}" for name in names)
