"""Mounts of a service: volumes, bind mounts, tmpfs; short and long."""

from __future__ import annotations

import posixpath
import re

from stackfile.errors import Place, StackError
from stackfile.language.nodes import Mapping, Node, Scalar
from stackfile.language.normalise.basic import boolean, file_mode, name, pairs, size, text
from stackfile.language.normalise.context import Context, Fields, as_mapping
from stackfile.language.origins import escape
from stackfile.model.stack import Mount

TYPES = frozenset({"volume", "bind", "tmpfs"})
FOREIGN = "the engine mounts volumes, binds and tmpfs"
_FOREIGN_TYPES = frozenset({"image", "cluster", "npipe"})
PROPAGATIONS = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})
_IGNORED_OPTIONS = frozenset({"rw", "z", "Z", "cached", "delegated", "consistent", "copy"})
_VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")

NO_PAIRS: dict[str, str] = {}
"""Default of pairs."""

_DRIVE = re.compile(r"[A-Za-z]:[\\/][^:]*:[/\\].*|[^:]+:[A-Za-z]:[\\/].*")
"""`c:/x:/y` and `/x:c:/y`; `c:/y:ro` is the volume `c`."""


def parse(node: Node, context: Context) -> Mount:
    """One mount: `[source:]target[:options]`, or a mapping. Bind sources become absolute."""
    mount = _long(node, context) if isinstance(node, Mapping) else _short(node, context)
    if mount.target and not mount.target.startswith("/"):
        raise StackError("bad-value", f"a mount's target is an absolute path, not {mount.target!r}", at=node.place)
    return mount


def is_foreign(node: Mapping) -> bool:
    """Whether a mount is of a kind that Compose has and no engine of one Linux machine."""
    kind = node.get("type")
    return isinstance(kind, Scalar) and kind.value in _FOREIGN_TYPES


def target_of(node: Mapping) -> str:
    """The target of a long mount, as a segment of a JSON pointer."""
    target = node.get("target")
    return escape(target.text) if isinstance(target, Scalar) else ""


def refuse_windows(value: str, at: Place) -> None:
    """Raises StackError for a mount of a path that has a drive. One letter alone is a volume, not a drive."""
    if _DRIVE.fullmatch(value):
        hint = "write the path that it has on this machine, e.g. /mnt/c/…"
        raise StackError("bad-value", f"{value!r} has a path of Windows", at=at, hint=hint)


def _short(node: Node, context: Context) -> Mount:
    value = text(node)
    refuse_windows(value, node.place)
    parts = value.split(":")
    if len(parts) > 3 or not all(parts):
        raise StackError("bad-value", f"not a volume: {value!r}", hint="[source:]target[:options]")
    if len(parts) == 1:
        return Mount(type="volume", target=clean(value))
    source, target = parts[0], parts[1]
    options = parts[2].split(",") if len(parts) == 3 else []
    is_path = source[0] in "./~" or source in (".", "..")
    if not is_path and not _VOLUME_NAME.fullmatch(source):
        raise StackError("bad-value", f"{source!r} is no volume name", hint=f"a path begins with ./ or /: ./{source}")
    return Mount(
        type="bind" if is_path else "volume",
        source=context.path(source, node.place) if is_path else source,
        target=clean(target),
        read_only="ro" in options,
        nocopy="nocopy" in options,
        propagation=_short_options(options),
    )


def clean(target: str) -> str:
    """A path in the container without doubled, trailing and dotted parts."""
    return posixpath.normpath(target).replace("//", "/") if target else ""


def _short_options(options: list[str]) -> str:
    """The propagation among the options. Raises StackError (bad-value) for an unknown option."""
    propagation = ""
    for option in options:
        if option in PROPAGATIONS:
            propagation = option
        elif option not in ("ro", "nocopy") and option not in _IGNORED_OPTIONS:
            raise StackError("bad-value", f"no mount option {option!r}")
    return propagation


def _long(node: Mapping, context: Context) -> Mount:
    fields = Fields(node, context, "a volume")
    kind = fields.take("type", _type, "volume")
    target = fields.require("target", name, "")
    source = fields.take("source", text, "")
    if kind == "bind" and not source:
        fields.require("source", name, "")
    fields.take("consistency", text, "")
    bind = Fields(fields.take("bind", as_mapping, _empty(node)), context, "bind")
    volume = Fields(fields.take("volume", as_mapping, _empty(node)), context, "volume")
    tmpfs = Fields(fields.take("tmpfs", as_mapping, _empty(node)), context, "tmpfs")
    image = Fields(fields.take("image", as_mapping, _empty(node)), context, "image")
    mount = Mount(
        type=kind,
        target=clean(target),
        source=context.path(source, node.entries["source"].place) if kind == "bind" and source else source,
        read_only=fields.take("read_only", boolean, False),
        propagation=bind.take("propagation", _propagation, ""),
        create_host_path=bind.take("create_host_path", boolean, True),
        recursive=bind.take("recursive", _recursive, True),
        nocopy=volume.take("nocopy", boolean, False),
        subpath=volume.take("subpath", text, ""),
        tmpfs_size=tmpfs.take("size", size, 0),
        tmpfs_mode=tmpfs.take("mode", file_mode, 0o1777),
    )
    bind.take("selinux", text, "")
    bind.finish()
    volume.take("labels", pairs, NO_PAIRS)  # of an anonymous volume: nothing looks at them
    volume.finish()
    tmpfs.finish()
    image.take("subpath", text, "")
    image.finish()
    fields.finish()
    return mount


def _recursive(node: Node) -> bool:
    """`bind.recursive`: whether the mounts below the source come along. `writable` and `readonly` say how."""
    if isinstance(node, Scalar) and isinstance(node.value, bool):
        return node.value
    value = text(node)
    if value not in ("enabled", "disabled", "writable", "readonly"):
        hint = "enabled, disabled, writable or readonly"
        raise StackError("bad-value", f"recursive is not {value!r}", at=node.place, hint=hint)
    return value != "disabled"


def _empty(node: Mapping) -> Mapping:
    return Mapping({}, {}, node.place)


def _type(node: Node) -> str:
    value = text(node)
    if value not in TYPES:
        raise StackError("bad-value", f"no mount type {value!r}", at=node.place, hint="volume, bind or tmpfs")
    return value


def _propagation(node: Node) -> str:
    value = text(node)
    if value not in PROPAGATIONS:
        raise StackError("bad-value", f"no propagation {value!r}", at=node.place)
    return value


def tmpfs(node: Node) -> Mount:
    """An item of a service's `tmpfs`: `target[:options]`."""
    target, _, options = text(node).partition(":")
    if not target.startswith("/"):
        raise StackError("bad-value", f"a mount's target is an absolute path, not {target!r}", at=node.place)
    return Mount(type="tmpfs", target=clean(target), tmpfs_options=options)
