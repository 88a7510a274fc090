"""Volumes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from stackfile.daemon.dockerjson import filters, times, values
from stackfile.daemon.dockerjson.filters import Filters, Test
from stackfile.errors import ActionError
from stackfile.model.container import VolumeRecord


def encode(record: VolumeRecord) -> dict[str, Any]:
    return {
        "CreatedAt": times.or_zero(record.created),
        "Driver": record.driver,
        "Labels": dict(record.labels) if record.labels or not record.anonymous else None,
        "Mountpoint": record.mountpoint,
        "Name": record.name,
        "Options": dict(record.options) or None,
        "Scope": "local",
    }


def decode(body: Mapping[str, Any], generated: str) -> VolumeRecord:
    """The body of `volumes/create`; `generated` is the name where none is given."""
    driver = values.text(body, "Driver") or "local"
    if driver == "default":
        driver = "local"
    if driver != "local":
        raise ActionError("bad-request", f"volume driver {driver!r} is not known; this engine has local")
    name = values.text(body, "Name")
    return VolumeRecord(
        name=name or generated,
        driver=driver,
        labels=values.text_mapping(body, "Labels"),
        options=values.text_mapping(body, "DriverOpts"),
        anonymous=not name,
    )


def select(records: Sequence[VolumeRecord], wanted: Filters, used: frozenset[str]) -> list[VolumeRecord]:
    """The volumes that pass the filters; `used` has the names of those that a container mounts."""
    tests: dict[str, Test[VolumeRecord]] = {
        "name": lambda record, value: re.search(re.escape(value), record.name) is not None,
        "driver": lambda record, value: record.driver == value,
        "label": lambda record, value: filters.has_label(record.labels, value),
        "dangling": lambda record, value: (record.name not in used) == filters.is_true(value),
    }
    return filters.select(records, wanted, tests, every=("label",))
