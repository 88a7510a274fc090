"""Rows of the databases: text and numbers. What is JSON in them is encoded and understood above."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ContainerRow:
    """`spec`, `state` and `place` (addresses, ports, volumes) are JSON; `desired` is running or stopped."""

    id: str
    name: str
    project: str
    service: str
    spec: str
    state: str
    place: str
    created: str
    desired: str


@dataclass(frozen=True, slots=True)
class NetworkRow:
    id: str
    name: str
    project: str
    record: str


@dataclass(frozen=True, slots=True)
class VolumeRow:
    name: str
    project: str
    record: str


@dataclass(frozen=True, slots=True)
class FileRow:
    """Content of a config or secret by its key (an HMAC). The highest `number` of a name is the current one."""

    project: str
    kind: str
    name: str
    key: str
    number: int


@dataclass(frozen=True, slots=True)
class EventRow:
    sequence: int
    time_ns: int
    kind: str
    action: str
    id: str
    attributes: str


@dataclass(frozen=True, slots=True)
class IntentRow:
    """Something that was about to happen to `key`; `data` is JSON."""

    id: int
    kind: str
    key: str
    data: str


@dataclass(frozen=True, slots=True)
class LeaseRow:
    network: str
    address: str
    owner: str


@dataclass(frozen=True, slots=True)
class RunningRow:
    """A main process: pid and start time (field 22 of /proc/PID/stat)."""

    container: str
    pid: int
    start_time: int


@dataclass(frozen=True, slots=True)
class PortRow:
    owner: str
    protocol: str
    host_ip: str
    host_port: int
