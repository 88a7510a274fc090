"""Choosing an environment and laying it over the stack."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from stackfile.errors import ErrorCollector, Place, StackError
from stackfile.language.document import SECTIONS
from stackfile.language.merge import merge
from stackfile.language.nodes import Mapping, Node, Scalar, Sequence, kind_of

KEYS = frozenset({"default", "extends", "values", "profiles", *SECTIONS})


@dataclass(frozen=True, slots=True)
class Overlay:
    """One environment of the chain that applies."""

    name: str
    tree: Mapping


def known_environments(document: Mapping) -> Mapping | None:
    node = document.get("environments")
    if node is None or (isinstance(node, Scalar) and node.value is None):
        return None
    if not isinstance(node, Mapping):
        raise StackError("not-a-mapping", f"environments is a mapping, not {kind_of(node)}", at=node.place)
    return node


def check_defaults(environments: Mapping, errors: ErrorCollector) -> None:
    """Report a `default` that is neither true nor false. Other mistakes wait until their environment applies."""
    for node in environments.entries.values():
        flag = node.get("default") if isinstance(node, Mapping) else None
        if flag is not None and not (isinstance(flag, Scalar) and isinstance(flag.value, bool)):
            errors.add(StackError("bad-type", f"default is true or false, not {kind_of(flag)}", at=flag.place))


def choose(environments: Mapping | None, wanted: str, at: Place) -> str:
    """Name of the environment that applies; "" for the base. Raises StackError (unknown-environment, bad-value)."""
    names = list(environments.entries) if environments else []
    if wanted and wanted not in names:
        close = difflib.get_close_matches(wanted, names, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(names)}" if names else ""
        raise StackError("unknown-environment", f"no environment {wanted!r}", at=at, hint=hint)
    if wanted or environments is None:
        return wanted
    defaults = [name for name in names if _is_default(environments.entries[name])]
    if len(defaults) > 1:
        second = environments.keys[defaults[1]].place
        first = environments.keys[defaults[0]].place
        raise StackError("bad-value", f"{defaults[0]} and {defaults[1]} are both default", at=second, stack=[first])
    return defaults[0] if defaults else ""


def _is_default(node: Node) -> bool:
    flag = node.get("default") if isinstance(node, Mapping) else None
    return isinstance(flag, Scalar) and flag.value is True


def chain(environments: Mapping, name: str, read: Callable[[str, Place], Mapping]) -> list[Overlay]:
    """The environment and what it extends, the outermost base first. `read` loads one that is given as a path.

    Raises StackError: environment-cycle, unknown-environment, bad-type.
    """
    result: list[Overlay] = []
    places: dict[str, Place] = {}
    current, at = name, environments.keys[name].place
    while True:
        if current in places:
            names = " → ".join([*places, current])
            raise StackError("environment-cycle", f"environments extend each other: {names}", at=at)
        places[current] = at
        tree = _tree(environments.entries[current], read)
        result.insert(0, Overlay(current, tree))
        extends = tree.get("extends")
        if extends is None:
            return result
        if not isinstance(extends, Scalar) or not isinstance(extends.value, str):
            raise StackError("bad-type", "extends is the name of an environment", at=extends.place)
        choose(environments, extends.value, extends.place)
        current, at = extends.value, extends.place


def _tree(node: Node, read: Callable[[str, Place], Mapping]) -> Mapping:
    if isinstance(node, Mapping):
        return node
    if isinstance(node, Scalar) and isinstance(node.value, str) and node.value:
        return read(node.value, node.place)
    if isinstance(node, Scalar) and node.value is None:
        return Mapping({}, {}, node.place)
    raise StackError("bad-type", f"an environment is a mapping or a path, not {kind_of(node)}", at=node.place)


def check_keys(overlay: Overlay, errors: ErrorCollector) -> None:
    for key, mark in overlay.tree.keys.items():
        if key not in KEYS and not key.startswith("x-"):
            close = difflib.get_close_matches(key, KEYS, 1)
            hint = f"did you mean {close[0]}?" if close else ""
            message = f"unknown key {key!r} in environment {overlay.name}"
            errors.add(StackError("unknown-key", message, at=mark.place, hint=hint))


def lay_over(document: Mapping, overlay: Overlay, errors: ErrorCollector) -> Mapping:
    """The document with the resources and values of one environment merged over it."""
    tree = overlay.tree.without("default", "extends", "profiles")
    merged = merge(document, tree, (), errors)
    assert isinstance(merged, Mapping)
    return merged


def profiles_of(overlays: list[Overlay]) -> list[str]:
    """Profiles that the environments enable."""
    result: dict[str, None] = {}
    for overlay in overlays:
        node = overlay.tree.get("profiles")
        if node is None:
            continue
        if not isinstance(node, Sequence):
            raise StackError("bad-type", f"profiles is a list, not {kind_of(node)}", at=node.place)
        for item in node.items:
            if not isinstance(item, Scalar) or not isinstance(item.value, str):
                raise StackError("bad-type", "a profile is a name", at=item.place)
            result[item.value] = None
    return list(result)
