"""Attributes of a container's events, as Docker gives them: its labels, its image and its name."""

from __future__ import annotations

from stackfile.engines.embedded.registry import Container


def attributes(container: Container, **more: str) -> dict[str, str]:
    """Labels, image, name and `more`."""
    spec = container.spec
    return {**spec.labels, "image": spec.image_name or spec.image, "name": spec.name, **more}
