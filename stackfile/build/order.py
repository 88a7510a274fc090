"""The order in which images of a stack are built: bases and copied-from images first."""

from __future__ import annotations

from collections.abc import Mapping

from stackfile.errors import StackError
from stackfile.model.stack import ImageResource


def build_order(images: Mapping[str, ImageResource], only: str = "") -> list[str]:
    """Names, each after what it needs; with `only`, that image last and nothing that it does not need.

    StackError: `image-cycle`, `unknown-reference`.
    """
    order: list[str] = []
    for name in [only] if only else images:
        _visit(images, name, order, ())
    return order


def needs(image: ImageResource, images: Mapping[str, ImageResource]) -> list[str]:
    """Stack images that an image needs: its base, and those that it copies from."""
    bases = [image.base] if image.base_is_stack_image else []
    named = list(image.build.images) if image.build is not None else []
    return bases + named + [step.from_image for step in image.steps if step.from_image in images]


def _visit(images: Mapping[str, ImageResource], name: str, order: list[str], way: tuple[str, ...]) -> None:
    if name in order:
        return
    if name in way:
        circle = " → ".join((*way[way.index(name) :], name))
        raise StackError("image-cycle", f"images need each other: {circle}")
    if name not in images:
        raise StackError("unknown-reference", f"image {way[-1] if way else ''}: the stack has no image {name!r}")
    for needed in needs(images[name], images):
        _visit(images, needed, order, (*way, name))
    order.append(name)
