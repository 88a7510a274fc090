"""What is asked of the process, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """verb: stat, get, put. The root is that of process `pid`; without one an overlay, or the directory `upper` alone
    where `work` is empty, with `mounts` (source, target, read-only) on it.
    """

    verb: str
    path: str
    pid: int = 0
    lower: tuple[str, ...] = ()
    upper: str = ""
    work: str = ""
    mounts: tuple[tuple[str, str, bool], ...] = ()
    stage: str = ""
    """A directory to mount on, in a namespace of its own."""
    keep_types: bool = False
    """Of a put: a directory is never replaced by a file, nor a file by a directory."""
    owner: tuple[int, int] | None = None
    """Of a put: uid and gid of everything, instead of what the archive says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathStat:
    """A file of a container. `mode` is that of stat(2); `link` is where a symbolic link leads, inside the root."""

    name: str
    size: int
    mode: int
    mtime_ns: int
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    stat: PathStat | None = None
    error: dict[str, object] = field(default_factory=dict)
    """An error of ours as `wire` writes it."""
