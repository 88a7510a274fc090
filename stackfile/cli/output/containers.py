"""Containers as rows of a table and as the JSON shape of `ps --json` and `container ls --json`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from stackfile.cli.output import table, units
from stackfile.model import labels
from stackfile.model.container import ContainerRecord, PublishedPort

HEADER = ("NAME", "SERVICE", "STATUS", "MEMORY", "PORTS", "UP")


def service_of(record: ContainerRecord) -> str:
    return record.spec.labels.get(labels.SERVICE, "")


def project_of(record: ContainerRecord) -> str:
    return record.spec.labels.get(labels.PROJECT, "")


def number_of(record: ContainerRecord) -> int:
    """Replica index, 0 for a container of no service."""
    number = record.spec.labels.get(labels.NUMBER, "")
    return int(number) if number.isdigit() else 0


def short_name(record: ContainerRecord) -> str:
    """The name without its project: `web-1`."""
    project = project_of(record)
    return record.spec.name.removeprefix(f"{project}-") if project else record.spec.name


def address_of(record: ContainerRecord) -> str:
    """`service.web[1]`."""
    return f"service.{service_of(record)}[{number_of(record)}]"


def status(record: ContainerRecord) -> str:
    """One word or two: healthy, running, exited (137), exited (137, out of memory), created, …"""
    state = record.state
    if state.status == "running":
        word = {"healthy": "healthy", "unhealthy": "unhealthy", "starting": "starting"}.get(
            state.health.status, "running"
        )
        return f"{word} ({state.oom_kills} killed, out of memory)" if state.oom_kills else word
    if state.status in ("exited", "dead"):
        return f"{state.status} ({state.exit_status.words})"
    return state.status


def ports(published: Sequence[PublishedPort]) -> str:
    """`*:8080→8000/tcp`, runs of ports as ranges; `*` is every address, v4 and v6 together."""
    seen: dict[tuple[str, str, int], set[int]] = {}
    for port in published:
        host = "*" if port.host_ip in ("", "0.0.0.0", "::") else port.host_ip
        seen.setdefault((host, port.protocol, port.target - port.published), set()).add(port.published)
    entries = [
        (first, f"{host}:{_range(first, last)}→{_range(first + shift, last + shift)}/{protocol}")
        for (host, protocol, shift), numbers in seen.items()
        for first, last in _runs(sorted(numbers))
    ]
    return ", ".join(text for _, text in sorted(entries))


def render(records: Sequence[ContainerRecord], now: datetime) -> str:
    """The table of ps. Replicas that share their ports say `(same)` after the first."""
    rows = []
    previous = ("", "")
    memory = dict(zip((record.id for record in records), _memories(records), strict=True))
    for record in records:
        shown = ports(record.published)
        same = bool(shown) and previous == (service_of(record), shown)
        previous = (service_of(record), shown)
        rows.append(
            (
                short_name(record), service_of(record), status(record), memory[record.id],
                "(same)" if same else shown, up_time(record, now),
            )
        )  # fmt: skip
    return table.render(HEADER, rows)


def up_time(record: ContainerRecord, now: datetime) -> str:
    started = parse_time(record.state.started_at) if record.state.running else None
    return units.age((now - started).total_seconds()) if started else ""


def parse_time(text: str) -> datetime | None:
    """A time of the engine's (RFC 3339, perhaps with nanoseconds); None when it is empty or Docker's zero time."""
    if not text or text.startswith("0001-"):
        return None
    whole, dot, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(whole + (dot + fraction[:6].ljust(6, "0") if dot else "")).replace(tzinfo=UTC)


def to_plain(record: ContainerRecord) -> dict[str, Any]:
    """The documented JSON shape of a container: names as in the Docker API's spirit, sizes in bytes."""
    state = record.state
    return {
        "id": record.id,
        "name": record.spec.name,
        "project": project_of(record),
        "service": service_of(record),
        "number": number_of(record),
        "image": record.spec.image_name or record.spec.image,
        "image_id": record.spec.image,
        "command": list(record.spec.command or ()),
        "state": state.status,
        "health": state.health.status,
        "exit_code": state.exit_code if state.status in ("exited", "dead") and state.exit_known else None,
        "error": state.error,
        "oom_killed": state.oom_killed,
        "oom_kills": state.oom_kills,
        "restarts": state.restart_count,
        "pid": state.pid,
        "created": record.created,
        "started_at": state.started_at,
        "finished_at": state.finished_at,
        "memory": record.memory,
        "memory_limit": record.spec.resources.memory,
        "ports": [
            {"host_ip": p.host_ip, "published": p.published, "target": p.target, "protocol": p.protocol}
            for p in record.published
        ],
        "networks": [
            {"name": e.network, "ipv4": e.ipv4, "ipv6": e.ipv6, "mac": e.mac, "aliases": list(e.aliases)}
            for e in record.endpoints
        ],
    }


def _memories(records: Sequence[ContainerRecord]) -> list[str]:
    """`11 / 96 MiB`, ` 9 MiB`: the numbers in use stand below each other."""
    texts = [
        units.usage(record.memory, record.spec.resources.memory) if record.state.running else "" for record in records
    ]
    width = max((len(text.partition(" ")[0]) for text in texts), default=0)
    return [" " * (width - len(text.partition(" ")[0])) + text if text else "" for text in texts]


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs
