"""Mounts: short and long."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from stackfile.errors import StackError
from stackfile.language.canonical import shapes
from stackfile.language.canonical.shapes import record
from stackfile.language.nodes import Mapping, Node, Sequence
from stackfile.language.normalise.context import Context, not_a
from stackfile.language.normalise.mounts import refuse_windows

PROPAGATIONS = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})


def volumes(node: Node, context: Context) -> list[dict[str, Any]]:
    """`volumes`: of each target the last, where the first stood."""
    if not isinstance(node, Sequence):
        return not_a(node, "a list")
    by_target: dict[str, dict[str, Any]] = {}
    for item in node.items:
        mount = long(item, context) if isinstance(item, Mapping) else _short(item, context)
        by_target[mount.get("target", "")] = mount
    return list(by_target.values())


def _short(node: Node, context: Context) -> dict[str, Any]:
    text = shapes.text(node, context)
    refuse_windows(text, node.place)
    parts = text.split(":")
    if not all(parts) or len(parts) > 3:
        raise StackError("bad-value", f"not a volume: {text!r}", at=node.place, hint="[source:]target[:options]")
    if len(parts) == 1:
        # Compose looks closer at what has more than two characters.
        return {"type": "volume", "target": clean(text)} | ({"volume": {}} if len(text) > 2 else {})
    source, target = parts[0], clean(parts[1])
    options = parts[2].split(",") if len(parts) == 3 else []
    bind = source[0] in "./~"
    details: dict[str, Any] = {}
    for option in options:
        if bind and option in PROPAGATIONS:
            details["propagation"] = option
        elif bind and option in ("z", "Z"):
            details["selinux"] = option
        elif not bind and option == "nocopy":
            details["nocopy"] = True
    kind = "bind" if bind else "volume"
    plain = {"type": kind, "source": context.shown_path(source, node.place) if bind else source, "target": target}
    return plain | ({"read_only": True} if "ro" in options else {}) | {kind: details}


def clean(target: str) -> str:
    """A path without doubled, trailing and dotted parts."""
    return re.sub("^//", "/", posixpath.normpath(target)) if target else ""


def long(node: Node, context: Context) -> dict[str, Any]:
    """A mount in long form. Mistakes are reported; raises StackError too."""
    plain: dict[str, Any] = _MOUNT(node, context)
    assert isinstance(node, Mapping)
    if not plain.get("target"):
        raise StackError("missing-key", "a volume needs `target`", at=node.place)
    if plain.get("type") == "bind":
        if not plain.get("source"):
            raise StackError("missing-key", "a bind mount needs `source`", at=node.place)
        plain["source"] = context.shown_path(plain["source"], node.entries["source"].place)
    return plain


def _bind(node: Node, context: Context) -> dict[str, Any]:
    plain: dict[str, Any] = _BIND(node, context)
    if plain.get("create_host_path") is not False:
        plain.pop("create_host_path", None)
    return plain


_BIND = record(
    "bind",
    {
        "propagation": shapes.text,
        "create_host_path": shapes.boolean,
        "recursive": shapes.one_of("enabled", "disabled", "writable", "readonly"),
        "selinux": shapes.one_of("z", "Z"),
    },
    keep=("create_host_path",),
)
_MOUNT = record(
    "a volume",
    {
        "type": shapes.one_of("bind", "volume", "tmpfs", "cluster", "npipe", "image"),
        "source": shapes.text,
        "target": lambda node, context: clean(shapes.text(node, context)),
        "read_only": shapes.boolean,
        "consistency": shapes.text,
        "bind": _bind,
        "volume": record(
            "volume", {"labels": shapes.distinct(shapes.labels), "nocopy": shapes.boolean, "subpath": shapes.text}
        ),
        "tmpfs": record(
            "tmpfs", {"size": shapes.size, "mode": shapes.between(shapes.plain_number, 0, 0xFFFFFFFF)}
        ),
        "image": record("image", {"subpath": shapes.text}),
    },
    keep=("bind", "volume", "tmpfs", "image"),
    required=("type",),
)  # fmt: skip
