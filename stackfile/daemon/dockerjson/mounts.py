"""Mounts: HostConfig.Binds, .Mounts and .Tmpfs, Config.Volumes; and the Mounts of an inspect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackfile.daemon.dockerjson import values
from stackfile.errors import ActionError
from stackfile.model.container import ContainerRecord
from stackfile.model.stack import Mount

_PROPAGATIONS = ("shared", "slave", "private", "rshared", "rslave", "rprivate")
_IGNORED = ("z", "Z", "cached", "delegated", "consistent", "rw")
_TYPES = ("bind", "volume", "tmpfs")


def decode(config: Mapping[str, Any], host: Mapping[str, Any]) -> tuple[Mount, ...]:
    """All mounts of a create request, one per target; what is said in HostConfig wins over Config.Volumes."""
    found: dict[str, Mount] = {}
    for target in values.mapping(config, "Volumes"):
        mount = decode_bind(target) if ":" in target else Mount(type="volume", target=target)
        found[mount.target] = mount
    for bind in values.texts(host, "Binds"):
        mount = decode_bind(bind)
        found[mount.target] = mount
    for entry in values.objects(host, "Mounts"):
        mount = decode_mount(entry)
        found[mount.target] = mount
    for target, options in values.text_mapping(host, "Tmpfs").items():
        found[target] = decode_tmpfs(target, options)
    return tuple(found.values())


def decode_bind(text: str) -> Mount:
    """`source:target[:options]` of HostConfig.Binds. Raises ActionError (`bad-request`)."""
    source, separator, rest = text.partition(":")
    target, _, options = rest.partition(":")
    if not separator or not target.startswith("/") or not source:
        raise ActionError("bad-request", f"invalid volume specification: {text!r}")
    read_only, nocopy, propagation = False, False, ""
    for option in filter(None, options.split(",")):
        if option == "ro":
            read_only = True
        elif option == "nocopy":
            nocopy = True
        elif option in _PROPAGATIONS:
            propagation = option
        elif option not in _IGNORED:
            raise ActionError("bad-request", f"invalid mode {option!r} of volume {text!r}")
    kind = "bind" if source.startswith("/") else "volume"
    return Mount(type=kind, source=source, target=target, read_only=read_only, nocopy=nocopy, propagation=propagation)


def decode_mount(entry: Mapping[str, Any]) -> Mount:
    """An entry of HostConfig.Mounts. Raises ActionError (`bad-request`)."""
    kind = values.text(entry, "Type")
    target = values.text(entry, "Target")
    if kind not in _TYPES:
        raise ActionError("bad-request", f"mount type {kind!r} is not one of {', '.join(_TYPES)}")
    if not target.startswith("/"):
        raise ActionError("bad-request", f"mount target {target!r} is not an absolute path")
    bind = values.mapping(entry, "BindOptions")
    volume = values.mapping(entry, "VolumeOptions")
    tmpfs = values.mapping(entry, "TmpfsOptions")
    return Mount(
        type=kind,
        target=target,
        source=values.text(entry, "Source"),
        read_only=values.flag(entry, "ReadOnly"),
        propagation=values.text(bind, "Propagation"),
        create_host_path=values.flag(bind, "CreateMountpoint"),
        nocopy=values.flag(volume, "NoCopy"),
        subpath=values.text(volume, "Subpath"),
        tmpfs_size=values.number(tmpfs, "SizeBytes"),
        tmpfs_mode=values.number(tmpfs, "Mode") or 0o1777,
    )


def decode_tmpfs(target: str, options: str) -> Mount:
    """HostConfig.Tmpfs: target → mount options."""
    read_only, size, mode, others = False, 0, 0o1777, []
    for option in filter(None, options.split(",")):
        name, _, value = option.partition("=")
        if option == "ro":
            read_only = True
        elif name == "size":
            size = _size(value)
        elif name == "mode":
            mode = _octal(value)
        elif option != "rw":
            others.append(option)
    return Mount(
        type="tmpfs",
        target=target,
        read_only=read_only,
        tmpfs_size=size,
        tmpfs_mode=mode,
        tmpfs_options=",".join(others),
    )


def _size(text: str) -> int:
    number, unit = text[:-1], text[-1:].lower()
    factor = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}.get(unit)
    if factor is None:
        number, factor = text, 1
    if not number.isdigit():
        raise ActionError("bad-request", f"invalid size {text!r} of a tmpfs")
    return int(number) * factor


def _octal(text: str) -> int:
    try:
        return int(text, 8)
    except ValueError as error:
        raise ActionError("bad-request", f"invalid mode {text!r} of a tmpfs") from error


def encode_binds(mounts: tuple[Mount, ...]) -> list[str]:
    """HostConfig.Binds of an inspect."""
    return [_bind(mount) for mount in mounts if mount.type != "tmpfs" and mount.source]


def _bind(mount: Mount) -> str:
    options = [name for name, given in (("ro", mount.read_only), ("nocopy", mount.nocopy)) if given]
    if mount.propagation:
        options.append(mount.propagation)
    return ":".join([mount.source, mount.target, *([",".join(options)] if options else [])])


def encode_tmpfs(mounts: tuple[Mount, ...]) -> dict[str, str]:
    """HostConfig.Tmpfs of an inspect."""
    return {mount.target: _tmpfs_options(mount) for mount in mounts if mount.type == "tmpfs"}


def _tmpfs_options(mount: Mount) -> str:
    parts = [mount.tmpfs_options] if mount.tmpfs_options else []
    if mount.tmpfs_size:
        parts.append(f"size={_in_units(mount.tmpfs_size)}")
    if mount.tmpfs_mode != 0o1777:
        parts.append(f"mode={mount.tmpfs_mode:o}")
    return ",".join([*(["ro"] if mount.read_only else []), *parts])


def _in_units(size: int) -> str:
    """Bytes with the largest unit that divides them: as they were most likely written."""
    for shift, unit in ((30, "g"), (20, "m"), (10, "k")):
        if size and size % (1 << shift) == 0:
            return f"{size >> shift}{unit}"
    return str(size)


def points(record: ContainerRecord, mountpoints: Mapping[str, str]) -> list[dict[str, Any]]:
    """Mounts of an inspect. `mountpoints` maps a volume's name to its directory on the host.

    A tmpfs stands in HostConfig.Tmpfs.
    """
    found = []
    declared = {mount.target: mount for mount in record.spec.mounts}
    for target, mount in declared.items():
        if mount.type == "bind":
            found.append(_point("bind", "", mount.source, target, "", mount.read_only, mount.propagation or "rprivate"))
    for target, name in record.volumes.items():
        declared_mount = declared.get(target)
        read_only = declared_mount.read_only if declared_mount else False
        point = _point("volume", name, mountpoints.get(name, ""), target, "local", read_only, "")
        if declared_mount is not None and declared_mount.source and not read_only:
            # Docker's mode of a named volume where nothing is said.
            point["Mode"] = "z"
        found.append(point)
    return found


def _point(
    kind: str, name: str, source: str, target: str, driver: str, read_only: bool, propagation: str
) -> dict[str, Any]:
    point: dict[str, Any] = {"Type": kind}
    if name:
        point["Name"] = name
    point["Source"] = source
    point["Destination"] = target
    if driver:
        point["Driver"] = driver
    point |= {"Mode": "ro" if read_only else "", "RW": not read_only, "Propagation": propagation}
    return point
