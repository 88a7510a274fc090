"""Canonical forms with digests in place of tags, as `config --resolve-image-digests` prints them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from stackfile.api.locks import is_reference
from stackfile.api.references import full_name, named
from stackfile.errors import Place
from stackfile.model.lock import LockedImage
from stackfile.model.stack import Stack

Plain = dict[str, Any]
Resolve = Callable[[Mapping[str, "Place | None"]], Mapping[str, LockedImage]]
_KEYS = {"services": "image", "images": "from"}


def with_digests(plain: Plain, stack: Stack, resolve: Resolve) -> Plain:
    """The canonical form of a stack with full references and digests; `resolve` is asked for those without one only.

    What is an image of the stack stays as it is. Errors as of `resolve`.
    """
    asked: dict[str, Place | None] = {}
    for section, name, reference in _references(plain, stack):
        if "@" not in reference:
            origin = stack.origins.get(f"{section[:-1]}.{name}/{_KEYS[section]}")
            asked.setdefault(full_name(reference), origin.at if origin else None)
    found = resolve(asked) if asked else {}
    result = {section: {**plain[section]} if section in _KEYS else value for section, value in plain.items()}
    for section, name, reference in _references(plain, stack):
        if "@" in reference:
            pinned = f"{named(reference)}@{reference.partition('@')[2]}"
        else:
            pinned = f"{full_name(reference)}@{found[full_name(reference)].digest}"
        result[section][name] = {**plain[section][name], _KEYS[section]: pinned}
    return result


def override(plain: Plain, as_model: bool) -> Plain:
    """A file that lays the references alone over others; `as_model` with the keys that Compose's
    JSON has then."""
    more: Plain = {"command": None, "entrypoint": None} if as_model else {}
    found: Plain = {"name": ""} if as_model else {}
    for section, key in _KEYS.items():
        if section in plain:
            rest = more if section == "services" else {}
            found[section] = {
                name: rest | {name: value for name, value in item.items() if name == key}
                for name, item in sorted(plain[section].items())
            }
    return found


def _references(plain: Plain, stack: Stack) -> Iterator[tuple[str, str, str]]:
    """(section, resource, reference) of images that are the registries'."""
    for name, service in plain.get("services", {}).items():
        reference = service.get("image")
        known = stack.services.get(name)
        ours = known is not None and known.image_is_stack_image and reference in stack.images
        if reference and not ours:
            yield "services", name, reference
    for name, image in plain.get("images", {}).items():
        if "from" in image and is_reference(stack.images[name]):
            yield "images", name, image["from"]
