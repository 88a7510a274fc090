"""Networks, volumes, configs, secrets and models."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from stackfile.errors import StackError
from stackfile.language.canonical import shapes
from stackfile.language.canonical.shapes import Table, list_of, map_of, record
from stackfile.language.nodes import Mapping, Node
from stackfile.language.normalise.context import Context

_EXTERNAL = record("external", {"name": shapes.text})
_FREE_EXTERNAL = record("external", {"name": shapes.text}, others=True)


def _external(strict: bool) -> shapes.Shape:
    """`external`: a boolean, or a mapping that gives the name."""

    def check(node: Node, context: Context) -> Any:
        if not isinstance(node, Mapping):
            return shapes.boolean(node, context)
        shape = _EXTERNAL if strict else _FREE_EXTERNAL
        return {"name": "", **shape(node, context)}

    return check


_POOL = record(
    "ipam.config",
    {
        "subnet": shapes.text,
        "ip_range": shapes.text,
        "gateway": shapes.text,
        "aux_addresses": map_of(shapes.text),
    },
)
IPAM: Table = {"driver": shapes.text, "config": list_of(_POOL), "options": map_of(shapes.text)}
_NETWORK: Table = {
    "name": shapes.text,
    "driver": shapes.text,
    "driver_opts": map_of(shapes.option),
    "ipam": record("ipam", IPAM),
    "external": _external(True),
    "internal": shapes.boolean,
    "enable_ipv4": shapes.boolean,
    "enable_ipv6": shapes.boolean,
    "attachable": shapes.boolean,
    "labels": shapes.labels,
}
_VOLUME: Table = {
    "name": shapes.text,
    "driver": shapes.text,
    "driver_opts": map_of(shapes.option),
    "external": _external(True),
    "labels": shapes.distinct(shapes.labels),
}


def _path(node: Node, context: Context) -> str:
    value = shapes.text(node, context)
    return context.shown_path(value, node.place) if value else ""


_FILE: Table = {
    "name": shapes.text,
    "environment": shapes.text,
    "file": _path,
    "external": _external(False),
    "labels": shapes.distinct(shapes.labels),
    "template_driver": shapes.text,
}
CONFIG: Table = _FILE | {"content": shapes.text}
SECRET: Table = _FILE | {"driver": shapes.text, "driver_opts": map_of(shapes.option)}
_TABLES: dict[str, tuple[str, Table, Collection[str]]] = {
    "networks": ("a network", _NETWORK, ("ipam", "enable_ipv4", "enable_ipv6")),
    "volumes": ("a volume", _VOLUME, ()),
    "configs": ("a config", CONFIG, ()),
    "secrets": ("a secret", SECRET, ()),
}
_SHAPES = {section: record(what, table, keep=keep) for section, (what, table, keep) in _TABLES.items()}
model = record(
    "a model",
    {
        "name": shapes.text,
        "model": shapes.text,
        "context_size": shapes.strict_integer,
        "runtime_flags": shapes.texts,
    },
    required=("model",),
)
NULLABLE = frozenset({"networks", "volumes"})


def resource(section: str, key: str, node: Node, context: Context) -> dict[str, Any]:
    """A network, volume, config or secret, with its full name. Mistakes are reported; raises StackError too."""
    plain: dict[str, Any] = {}
    if not (section in NULLABLE and shapes.is_null(node)):
        plain = _SHAPES[section](node, context)
    external = plain.pop("external", False)
    if isinstance(external, dict):
        given = external["name"]
        if given and plain.get("name", given) != given:
            message = "`name` and `external.name` say two things"
            context.report(StackError("bad-value", message, at=node.place))
        plain["name"] = plain.get("name") or given
        external = True
    if context.form.normalize:
        plain["name"] = plain.get("name") or (key if external else f"{context.project}_{key}")
    if external:
        plain["external"] = True
        if section == "volumes":
            _alone(section, key, node, context)
    elif section in ("configs", "secrets"):
        _one_source(section, key, node, plain, context)
    if section == "networks" and context.form.interpolate:
        plain.setdefault("ipam", {})
    return plain


def _alone(section: str, key: str, node: Node, context: Context) -> None:
    assert isinstance(node, Mapping)
    for other, mark in node.keys.items():
        if other not in ("external", "name") and not other.startswith("x-"):
            message = f"{section}.{key} is external and has `{other}`"
            context.report(StackError("bad-value", message, at=mark.place))


def _one_source(section: str, key: str, node: Node, plain: dict[str, Any], context: Context) -> None:
    """A config or secret comes from one place."""
    assert isinstance(node, Mapping)
    words = ("file", "environment", "content") if section == "configs" else ("file", "environment")
    there = [word for word in words if word in node.entries]
    for word in there[1:]:
        message = f"{section}.{key} has both `{there[0]}` and `{word}`"
        context.report(StackError("bad-value", message, at=node.keys[word].place))
    if not there:
        message = f"{section}.{key} needs {' or '.join(f'`{word}`' for word in words)}"
        context.report(StackError("missing-key", message, at=node.place))
