"""What a lock file says: the content that image references stood for when it was written."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedImage:
    """`digest` is of the registry's index, of the manifest where there is no index."""

    digest: str
    platforms: tuple[str, ...] = ()
    """`os/architecture[/variant]`, sorted; for who reads the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Images by full reference (`docker.io/library/busybox:latest`)."""

    images: dict[str, LockedImage] = field(default_factory=dict)
