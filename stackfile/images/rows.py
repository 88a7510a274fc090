"""What the image store and the build cache keep in the database: keys and JSON text, through this protocol.

Implemented over `state.db` by the store package, which knows text and numbers only. Every method that writes is one
committed transaction, and all are called from the thread that opened the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class ImageRows(Protocol):
    """Rows of images, tags and the build cache."""

    def put_image(self, image_id: str, record: str) -> None:
        """Insert or replace the row of an image id (`sha256:…`); on disk when it returns."""
        ...

    def get_image(self, image_id: str) -> str | None: ...

    def list_images(self) -> Sequence[tuple[str, str]]:
        """(id, record) of every image."""
        ...

    def delete_image(self, image_id: str) -> None:
        """Delete the row and every tag that points to it, in one transaction. Unknown ids are no error."""
        ...

    def put_tag(self, name: str, image_id: str) -> None:
        """Point a full reference (`docker.io/library/busybox:latest`) to an image; moves an existing tag."""
        ...

    def get_tag(self, name: str) -> str | None: ...

    def list_tags(self) -> Sequence[tuple[str, str]]:
        """(name, image id) of every tag, sorted by name."""
        ...

    def delete_tag(self, name: str) -> None: ...

    def put_cache(self, key: str, record: str) -> None:
        """Insert or replace a cache row. Keys begin with their kind: `step:`, `last:`, `host:`."""
        ...

    def get_cache(self, key: str) -> str | None: ...

    def list_cache(self) -> Sequence[tuple[str, str]]:
        """(key, record) of every cache row."""
        ...

    def delete_cache(self, key: str) -> None: ...
