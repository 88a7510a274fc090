"""Filters of `containers/json`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from stackfile.daemon.dockerjson import container, filters, times
from stackfile.daemon.dockerjson.filters import Filters, Test
from stackfile.errors import ActionError, NotFoundError
from stackfile.model.container import ContainerRecord

_STATUSES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")


def select(records: Sequence[ContainerRecord], wanted: Filters, *, show_all: bool) -> list[ContainerRecord]:
    """The containers that pass, newest first. Only running ones, unless `show_all` or a filter asks for others."""
    if not show_all and not {"status", "exited", "before", "since"} & wanted.keys():
        records = [record for record in records if record.state.running]
    for value in wanted.get("status", ()):
        if value not in _STATUSES:
            raise ActionError("bad-request", f"invalid filter 'status={value}'")
    around = {key: _named(records, wanted[key][0]) for key in ("before", "since") if wanted.get(key)}
    rest = {key: given for key, given in wanted.items() if key not in around}
    if "before" in around:
        records = [record for record in records if _created(record) < _created(around["before"])]
    if "since" in around:
        records = [record for record in records if _created(record) > _created(around["since"])]
    chosen = filters.select(records, rest, _TESTS, every=("label",))
    return sorted(chosen, key=_created, reverse=True)


def _named(records: Sequence[ContainerRecord], ref: str) -> ContainerRecord:
    for record in records:
        if record.spec.name == ref.removeprefix("/") or record.id.startswith(ref):
            return record
    raise NotFoundError("container", ref)


def _created(record: ContainerRecord) -> int:
    return times.nanoseconds(record.created)


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return pattern in text


def _name(record: ContainerRecord, value: str) -> bool:
    # Docker matches with and without the slash that names begin with.
    return _matches(value, record.spec.name) or _matches(value, f"/{record.spec.name}")


def _ancestor(record: ContainerRecord, value: str) -> bool:
    spec = record.spec
    short = spec.image_name.removeprefix("docker.io/").removeprefix("library/")
    bare = short.rpartition(":")[0] if ":" in short.rpartition("/")[2] else short
    digest = value.removeprefix("sha256:")
    by_id = len(digest) >= 4 and spec.image.removeprefix("sha256:").startswith(digest)
    return by_id or value in (spec.image_name, short, bare)


def _network(record: ContainerRecord, value: str) -> bool:
    return any(value == end.network or end.network_id.startswith(value) for end in record.endpoints)


def _volume(record: ContainerRecord, value: str) -> bool:
    mounted = {*record.volumes, *record.volumes.values()}
    return value in mounted or any(value in (mount.source, mount.target) for mount in record.spec.mounts)


def _port(of_spec: bool) -> Test[ContainerRecord]:
    def test(record: ContainerRecord, value: str) -> bool:
        number, _, protocol = value.partition("/")
        wanted = (number, protocol or "tcp")
        if of_spec:
            exposed = {*record.spec.expose, *(f"{port.target}/{port.protocol}" for port in record.spec.ports)}
            return f"{wanted[0]}/{wanted[1]}" in exposed
        return any((str(port.published), port.protocol) == wanted for port in record.published)

    return test


_TESTS: dict[str, Test[ContainerRecord]] = {
    "id": lambda record, value: record.id.startswith(value),
    "name": _name,
    "label": lambda record, value: filters.has_label(record.spec.labels, value),
    "status": lambda record, value: record.state.status == value,
    "exited": lambda record, value: record.state.status == "exited" and str(container.exit_code(record.state)) == value,
    "health": lambda record, value: record.state.health.status == value,
    "ancestor": _ancestor,
    "network": _network,
    "volume": _volume,
    "expose": _port(True),
    "publish": _port(False),
    "is-task": lambda record, value: not filters.is_true(value),
}
