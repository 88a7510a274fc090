"""Images as `images/json`, `images/NAME/json` and `images/NAME/history` show them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from stackfile.daemon.dockerjson import filters, health, times
from stackfile.daemon.dockerjson.filters import Filters, Test
from stackfile.errors import NotFoundError
from stackfile.model.image import ImageConfig, ImageRecord

_DRIVER_KEYS = ("MergedDir", "UpperDir", "WorkDir")


def familiar(reference: str) -> str:
    """`docker.io/library/busybox:latest` as `busybox:latest`."""
    return reference.removeprefix("docker.io/").removeprefix("library/")


def summary(record: ImageRecord, containers: int = -1, shared: int = -1) -> dict[str, Any]:
    """An entry of `images/json`; `shared` are bytes of layers that other images have too."""
    tags = [familiar(tag) for tag in record.tags]
    return {
        "Id": record.id,
        "ParentId": record.parent,
        "RepoTags": tags or ["<none>:<none>"],
        "RepoDigests": _digests(record) or (["<none>@<none>"] if not tags else None),
        "Created": times.seconds(record.created),
        "Size": record.size,
        "VirtualSize": record.size,
        "SharedSize": shared,
        "Labels": dict(record.config.labels) or None,
        "Containers": containers,
    }


def _digests(record: ImageRecord) -> list[str]:
    return [familiar(item) for item in record.digests]


def inspect(record: ImageRecord, lower: Sequence[str] = ()) -> dict[str, Any]:
    """The answer of `images/NAME/json`. `lower` are the directories of its layers, topmost first."""
    top = {"UpperDir": lower[0], "MergedDir": "", "WorkDir": ""} if lower else dict.fromkeys(_DRIVER_KEYS, "")
    if len(lower) > 1:
        top["LowerDir"] = ":".join(lower[1:])
    return {
        "Id": record.id,
        "RepoTags": [familiar(tag) for tag in record.tags],
        "RepoDigests": _digests(record),
        "Parent": record.parent,
        "Comment": record.history[-1].comment if record.history else "",
        "Created": times.or_zero(record.created),
        "Container": "",
        "ContainerConfig": config(ImageConfig()),
        "DockerVersion": "",
        "Author": "",
        "Config": config(record.config),
        "Architecture": record.architecture,
        "Os": record.os,
        "Size": record.size,
        "VirtualSize": record.size,
        "GraphDriver": {"Name": "overlay2", "Data": top},
        "RootFS": {"Type": "layers", "Layers": list(record.layers)},
        "Metadata": {"LastTagTime": times.ZERO},
    }


def config(value: ImageConfig) -> dict[str, Any]:
    """Config of an image: the same keys as a container's."""
    encoded: dict[str, Any] = {
        "Hostname": "",
        "Domainname": "",
        "User": value.user,
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "Env": list(value.environment) or None,
        "Cmd": list(value.command) if value.command is not None else None,
        "Image": "",
        "Volumes": {path: {} for path in value.volumes} or None,
        "WorkingDir": value.working_dir,
        "Entrypoint": list(value.entrypoint) if value.entrypoint is not None else None,
        "OnBuild": list(value.on_build) or None,
        "Labels": dict(value.labels) or None,
    }
    if value.exposed_ports:
        encoded["ExposedPorts"] = {port: {} for port in value.exposed_ports}
    if value.healthcheck:
        encoded["Healthcheck"] = health.encode(value.healthcheck)
    if value.stop_signal:
        encoded["StopSignal"] = value.stop_signal
    if value.shell:
        encoded["Shell"] = list(value.shell)
    return encoded


def history(record: ImageRecord) -> list[dict[str, Any]]:
    """The answer of `images/NAME/history`, newest first."""
    rows: list[dict[str, Any]] = [
        {
            "Id": "<missing>",
            "Created": times.seconds(entry.created or record.created),
            "CreatedBy": entry.created_by,
            "Tags": None,
            "Size": 0,
            "Comment": entry.comment,
        }
        for entry in reversed(record.history)
    ]
    if not rows:
        rows = [{"Id": "", "Created": times.seconds(record.created), "CreatedBy": "", "Size": 0, "Comment": ""}]
    rows[0] |= {"Id": record.id, "Tags": [familiar(tag) for tag in record.tags] or None, "Size": record.size}
    return rows


def select(records: Sequence[ImageRecord], wanted: Filters) -> list[ImageRecord]:
    """The images that pass the filters of `images/json`, newest first."""
    around = {key: _named(records, wanted[key][0]) for key in ("before", "since") if wanted.get(key)}
    rest = {key: given for key, given in wanted.items() if key not in around}
    if "before" in around:
        records = [record for record in records if _created(record) < _created(around["before"])]
    if "since" in around:
        records = [record for record in records if _created(record) > _created(around["since"])]
    chosen = filters.select(records, rest, _TESTS, every=("label",))
    return sorted(chosen, key=_created, reverse=True)


def _created(record: ImageRecord) -> int:
    return times.nanoseconds(record.created)


def _named(records: Sequence[ImageRecord], ref: str) -> ImageRecord:
    wanted = ref if ":" in ref else f"{ref}:latest"
    for record in records:
        if wanted in map(familiar, record.tags) or record.id.removeprefix("sha256:").startswith(
            ref.removeprefix("sha256:")
        ):
            return record
    raise NotFoundError("image", ref, reason="image-not-found")


def _reference(record: ImageRecord, pattern: str) -> bool:
    """`name`, `name:tag`, with `*` and `?` within a part of the path."""
    expression = "".join({"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char)) for char in pattern)
    matcher = re.compile(expression)
    for tag in (*record.tags, *map(familiar, record.tags)):
        if matcher.fullmatch(tag) or matcher.fullmatch(tag.rpartition(":")[0]):
            return True
    return False


_TESTS: dict[str, Test[ImageRecord]] = {
    "dangling": lambda record, value: bool(record.tags) != filters.is_true(value),
    "label": lambda record, value: filters.has_label(record.config.labels, value),
    "reference": _reference,
}
