"""Mounts as docker run -v, --mount and --tmpfs write them. Relative sources start in the caller's directory."""

from __future__ import annotations

import os

from stackfile.cli import quantities
from stackfile.errors import UsageError
from stackfile.model.stack import Mount

_PROPAGATION = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
_FLAGS = frozenset({"readonly", "ro", "volume-nocopy"})
_NAMES = {
    "src": "source", "dst": "target", "destination": "target", "bind-propagation": "propagation",
    "volume-subpath": "subpath", "tmpfs-size": "tmpfs_size", "tmpfs-mode": "tmpfs_mode",
}  # fmt: skip


def parse_volume(text: str, directory: str) -> Mount:
    """`[SOURCE:]TARGET[:OPTIONS]`: a path as source binds, a name is a volume, none an anonymous one."""
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise UsageError("usage", f"--volume: {text!r} is no SOURCE:TARGET[:OPTIONS]")
    source, target = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
    _check_target(target, text)
    options = parts[2].split(",") if len(parts) == 3 else []
    unknown = [item for item in options if item not in ("ro", "rw", "nocopy", "z", "Z", *_PROPAGATION)]
    if unknown:
        raise UsageError("usage", f"--volume: unknown option {unknown[0]!r} in {text!r}")
    bind = source.startswith(("/", ".", "~"))
    return Mount(
        type="bind" if bind else "volume",
        source=_path(source, directory) if bind else source,
        target=target,
        read_only="ro" in options,
        nocopy="nocopy" in options,
        propagation=next((item for item in options if item in _PROPAGATION), ""),
    )


def mount_of(text: str, directory: str) -> Mount:
    """`type=bind,source=…,target=…,readonly`. A bind's source must exist, as Docker wants it for --mount."""
    values: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        name = _NAMES.get(name, name)
        values[name] = value if equals else "true"
    kind = values.pop("type", "volume")
    target = values.pop("target", "")
    if kind not in ("bind", "volume", "tmpfs"):
        raise UsageError("usage", f"--mount: unknown type {kind!r}")
    _check_target(target, text)
    flags = {name for name in _FLAGS if values.pop(name, "false") in ("true", "1")}
    source = values.pop("source", "")
    mount = Mount(
        type=kind,
        source=_path(source, directory) if kind == "bind" else source,
        target=target,
        read_only=bool(flags & {"readonly", "ro"}),
        nocopy="volume-nocopy" in flags,
        subpath=values.pop("subpath", ""),
        propagation=values.pop("propagation", ""),
        create_host_path=False,
        tmpfs_size=quantities.size("mount tmpfs-size", values.pop("tmpfs_size", "0")),
        tmpfs_mode=_mode(values.pop("tmpfs_mode", "1777"), text),
    )
    if values:
        raise UsageError("usage", f"--mount: unknown key {next(iter(values))!r} in {text!r}")
    return mount


def parse_tmpfs(text: str) -> Mount:
    """`TARGET[:size=64m,mode=1777,…]`; what is neither size nor mode goes to the kernel as it is."""
    target, _, options = text.partition(":")
    _check_target(target, text)
    size, mode, rest = 0, 0o1777, []
    for item in filter(None, options.split(",")):
        name, _, value = item.partition("=")
        if name == "size":
            size = quantities.size("tmpfs size", value)
        elif name == "mode":
            mode = _mode(value, text)
        else:
            rest.append(item)
    return Mount(
        type="tmpfs",
        target=target,
        tmpfs_size=size,
        tmpfs_mode=mode,
        tmpfs_options=",".join(rest),
        read_only="ro" in rest,
    )


def _mode(text: str, whole: str) -> int:
    try:
        return int(text, 8)
    except ValueError as error:
        raise UsageError("usage", f"mount {whole!r}: {text!r} is no octal mode") from error


def _check_target(target: str, text: str) -> None:
    if not target.startswith("/"):
        raise UsageError("usage", f"mount {text!r}: the target must be an absolute path")


def _path(source: str, directory: str) -> str:
    if not source:
        raise UsageError("usage", "--mount: a bind needs a source")
    return os.path.normpath(os.path.join(directory, os.path.expanduser(source)))
