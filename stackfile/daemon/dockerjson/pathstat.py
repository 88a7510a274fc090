"""The header that says what a path of a container is."""

from __future__ import annotations

import base64
import json
import stat

from stackfile.daemon.dockerjson import times
from stackfile.provider.engine import PathStat

HEADER = "X-Docker-Container-Path-Stat"
_TYPES = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
}
_FLAGS = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}


def encode(found: PathStat) -> str:
    """The header's value: base64 of JSON, `mode` in Go's os.FileMode bits."""
    value = {
        "name": found.name,
        "size": found.size,
        "mode": go_mode(found.mode),
        "mtime": times.rfc3339(found.mtime_ns),
        "linkTarget": found.link,
    }
    return base64.b64encode(json.dumps(value).encode()).decode()


def go_mode(mode: int) -> int:
    """Bits of stat(2) as Go's os.FileMode has them."""
    flags = sum(go for unix, go in _FLAGS.items() if mode & unix)
    return (mode & 0o777) | _TYPES.get(stat.S_IFMT(mode), 0) | flags
