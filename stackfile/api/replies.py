"""Small answers of the daemon that are no nouns of the model."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Who answers: version of the daemon, number of our API, kind and id of its engine."""

    version: str
    api: int
    engine: dict[str, str] = field(default_factory=dict)
    pid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One of the engine's processes. state: running, stopped, away (soon started again), crash loop.

    `restarts` counts since the supervisor was started, `failures` ends in a row that each came soon after the start;
    `last_end` says how it ended the last time, `log` is a path on the engine's machine. `pid` is 0 while it is away.
    """

    name: str
    pid: int
    state: str
    started_ns: int = 0
    restarts: int = 0
    failures: int = 0
    last_end: str = ""
    log: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of a container's output. `data` has its newline, or none while the line is partial.

    `stream` is 1 (stdout) or 2 (stderr); `time_ns` counts from the epoch.
    """

    stream: int
    time_ns: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A row of `system doctor`. status: ok, warning, missing."""

    check: str
    status: str
    found: str
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInfo:
    """A job the daemon knows of."""

    id: str
    kind: str
    project: str
    status: str = ""
