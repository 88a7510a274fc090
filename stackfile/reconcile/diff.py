"""Two containers compared field by field: what differs, why, and how it is applied. Pure.

`differences` is the whole comparison; each kind of field has a function that yields `Difference`s. Contents of configs
and secrets are compared by HMAC, never seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from stackfile import wire
from stackfile.model import labels
from stackfile.model.container import ContainerSpec, FileMount
from stackfile.model.plan import Cause, Change
from stackfile.model.stack import Attachment, Mount, Origin, SecretRef
from stackfile.reconcile import origins as places
from stackfile.reconcile.strategy import strategy

_DERIVED_LABELS = frozenset({labels.CONFIG_HASH, labels.VERSION, labels.IMAGE, labels.DEPENDS_ON})
"""Follow from other fields (or from our version): never a change of their own."""
_NOT_COMPARED = frozenset({"spec_version", "secret_keys"})
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")
UNKNOWN = "unknown"
"""Stands for a value that is known once something else was built or generated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A field that differs. `path` is `/`-separated, its parts escaped as in a JSON pointer (RFC 6901)."""

    path: str
    before: Any
    after: Any
    rule: str = ""
    """Path under which the change table knows the field, where `path` is more exact."""
    on_change: str = "restart"
    sensitive: bool = False
    kind: str = ""
    """Kind of the cause, where the field decides it."""
    detail: str = ""


def differences(before: ContainerSpec, after: ContainerSpec) -> list[Difference]:
    """What makes `after` another container than `before`, in the order of the fields."""
    if before == after:
        return []
    found: list[Difference] = []
    for row in fields(ContainerSpec):
        if row.name in _NOT_COMPARED:
            continue
        found += _COMPARE.get(row.name, _whole)(row.name, before, after)
    return found


def changes(
    before: ContainerSpec,
    after: ContainerSpec,
    table: Mapping[str, str],
    origins: Mapping[str, Origin],
    address: str,
    image_reason: str = "",
) -> tuple[Change, ...]:
    """The differences as changes of a plan: each with its strategy and its cause."""
    return tuple(_change(item, table, origins, address, image_reason) for item in differences(before, after))


def _change(
    item: Difference, table: Mapping[str, str], origins: Mapping[str, Origin], address: str, image_reason: str
) -> Change:
    way, signal = strategy(table, item.rule or item.path, item.on_change)
    origin = places.find(origins, address, unescape(item.path))
    kind, detail = item.kind, item.detail
    if item.path == "image":
        kind, detail = "host-file" if image_reason.startswith("host") else "image", image_reason
    if not kind:
        kind = "value" if origin is not None and any(via.name.startswith("values.") for via in origin.via) else "file"
    return Change(
        path=f"/{item.path}",
        before=item.before,
        after=item.after,
        strategy=way,
        signal=signal,
        sensitive=item.sensitive,
        cause=Cause(kind=kind, origin=origin, detail=detail),
    )


def escape(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def unescape(path: str) -> str:
    return path.replace("~1", "/").replace("~0", "~")


# ---------------------------------------------------------------- kinds of fields


def _whole(name: str, before: ContainerSpec, after: ContainerSpec) -> Iterator[Difference]:
    old, new = getattr(before, name), getattr(after, name)
    if old != new:
        yield Difference(path=name, before=wire.compact(old), after=wire.compact(new))


def _image(name: str, before: ContainerSpec, after: ContainerSpec) -> Iterator[Difference]:
    if before.image != after.image:
        yield Difference(path=name, before=before.image, after=after.image or UNKNOWN)


def _members(name: str, before: ContainerSpec, after: ContainerSpec) -> Iterator[Difference]:
    """A dataclass, field by field."""
    old, new = getattr(before, name), getattr(after, name)
    for row in fields(new):
        was, now = getattr(old, row.name), getattr(new, row.name)
        if was != now:
            yield Difference(path=f"{name}/{row.name}", before=wire.compact(was), after=wire.compact(now))


def _mapping(name: str, before: ContainerSpec, after: ContainerSpec) -> Iterator[Difference]:
    """A mapping, key by key; None for a key that is not there."""
    old, new = getattr(before, name), getattr(after, name)
    for key in dict.fromkeys((*old, *new)):
        if old.get(key) != new.get(key) or (key in old) != (key in new):
            yield Difference(
                path=f"{name}/{escape(key)}", before=wire.compact(old.get(key)), after=wire.compact(new.get(key))
            )


def _labels(name: str, before: ContainerSpec, after: ContainerSpec) -> Iterator[Difference]:
    for item in _mapping(name, before, after):
        if unescape(item.path).partition("/")[2] not in _DERIVED_LABELS:
            yield item


def _environment(name: str, before: ContainerSpec, after: ContainerSpec) -> Iterator[Difference]:
    """Variables, and the content of the secrets that some of them hold."""
    yield from _mapping(name, before, after)
    for key, value in after.environment.items():
        if not isinstance(value, SecretRef) or before.environment.get(key) != value:
            continue
        old, new = before.secret_keys.get(value.secret, ""), after.secret_keys.get(value.secret, "")
        if old != new:
            yield Difference(
                path=f"{name}/{escape(key)}",
                before=old,
                after=new or UNKNOWN,
                sensitive=True,
                kind="config-content",
                detail=f"secret {value.secret}",
            )


def _mounts(name: str, before: ContainerSpec, after: ContainerSpec) -> Iterator[Difference]:
    """Mounts by target. An anonymous volume that was carried over from a predecessor is no difference."""
    old = {mount.target: mount for mount in before.mounts}
    new = {mount.target: mount for mount in after.mounts}
    for target in dict.fromkeys((*old, *new)):
        was, now = old.get(target), new.get(target)
        if was == now or _carried_over(was, now):
            continue
        yield Difference(path=f"{name}/{escape(target)}", before=wire.compact(was), after=wire.compact(now))


def _carried_over(was: Mount | None, now: Mount | None) -> bool:
    if was is None or was.type != "volume" or not _ANONYMOUS.fullmatch(was.source):
        return False
    return now is None or (now.type == "volume" and not now.source)


def _files(name: str, before: ContainerSpec, after: ContainerSpec) -> Iterator[Difference]:
    """Configs and secrets by target: set, source and mode apart from content."""
    old = {file.target: file for file in before.files}
    new = {file.target: file for file in after.files}
    for target in dict.fromkeys((*old, *new)):
        yield from _file(f"{name}/{escape(target)}", old.get(target), new.get(target))


def _file(path: str, was: FileMount | None, now: FileMount | None) -> Iterator[Difference]:
    if was is None or now is None or _placement(was) != _placement(now):
        yield Difference(path=path, before=_shown(was), after=_shown(now), rule="files")
        return
    if was.key != now.key:
        yield Difference(
            path=f"{path}/content",
            before=was.key,
            after=now.key or UNKNOWN,
            rule="files/content",
            on_change=now.on_change,
            sensitive=now.kind == "secret",
            kind="config-content",
            detail=f"{now.kind} {now.name.partition('@')[0]}",
        )
    if was.on_change != now.on_change:
        yield Difference(path=f"{path}/on_change", before=was.on_change, after=now.on_change, rule="files/on_change")


def _placement(file: FileMount) -> tuple[object, ...]:
    return file.kind, file.name.partition("@")[0], file.uid, file.gid, file.mode


def _shown(file: FileMount | None) -> Any:
    if file is None:
        return None
    return {"kind": file.kind, "name": file.name.partition("@")[0], "mode": f"{file.mode:04o}", "uid": file.uid}


def _networks(name: str, before: ContainerSpec, after: ContainerSpec) -> Iterator[Difference]:
    """Memberships by network; addresses apart from the rest, because connections break when they change."""
    old = {item.network: item for item in before.networks}
    new = {item.network: item for item in after.networks}
    for network in dict.fromkeys((*old, *new)):
        was, now = old.get(network), new.get(network)
        path = f"{name}/{escape(network)}"
        if was is None or now is None:
            yield Difference(path=path, before=wire.compact(was), after=wire.compact(now), rule=name)
            continue
        yield from _attachment(name, path, was, now)


def _attachment(name: str, path: str, was: Attachment, now: Attachment) -> Iterator[Difference]:
    for row in fields(Attachment):
        old, new = getattr(was, row.name), getattr(now, row.name)
        if old != new:
            yield Difference(
                path=f"{path}/{row.name}",
                before=wire.compact(old),
                after=wire.compact(new),
                rule=f"{name}/{row.name}",
            )


_COMPARE: dict[str, Callable[[str, ContainerSpec, ContainerSpec], Iterator[Difference]]] = {
    "image": _image,
    "environment": _environment,
    "labels": _labels,
    "mounts": _mounts,
    "files": _files,
    "networks": _networks,
    "resources": _members,
    "log": _members,
    "sysctls": _mapping,
    "depends_on": _mapping,
}
