"""Digests of files by their stats, in the caller's cache directory, so that an unchanged context is not read again.

One small JSON file for each directory, replaced whole: parallel commands at worst lose each other's news.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_RACY_NS = 50_000_000
"""A file changed this shortly before may change again within one tick of the file system's clock."""
_SMALL = 4096
"""Smaller files are read faster than they are looked up."""


@dataclass(slots=True)
class StatCache:
    """Path → stats and digest. `file` is "" where there is no cache directory."""

    file: str = ""
    _known: dict[str, list[int | str]] | None = None
    _seen: dict[str, list[int | str]] = field(default_factory=dict)
    _news: bool = False

    @classmethod
    def of(cls, directory: str) -> StatCache:
        """The cache of one stack's directory."""
        base = os.environ.get("XDG_CACHE_HOME") or ""
        if not base and os.environ.get("HOME"):
            base = f"{os.environ['HOME']}/.cache"
        if not base.startswith("/"):
            return cls()
        return cls(f"{base}/stackfile/contexts/{hashlib.sha256(os.fsencode(directory)).hexdigest()[:32]}.json")

    def digest(self, path: str, status: os.stat_result, compute: Callable[[str], str]) -> str:
        """The digest of a file: remembered when its stats are the same, else computed."""
        if status.st_size < _SMALL or not self.file:
            return compute(path)
        stats: list[int | str] = [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        if self._known is None:
            self._known = self._load()
        known = self._known.get(path)
        if known is not None and known[:5] == stats:
            self._seen[path] = known
            return str(known[5])
        digest = compute(path)
        if max(status.st_mtime_ns, status.st_ctime_ns) < time.time_ns() - _RACY_NS:
            self._seen[path] = [*stats, digest]
            self._news = True
        return digest

    def save(self) -> None:
        """Write what is new. A cache that cannot be written is no error."""
        if not self._news:
            return
        fresh = f"{self.file}.{secrets.token_hex(4)}"
        try:
            os.makedirs(os.path.dirname(self.file), mode=0o700, exist_ok=True)
            with open(fresh, "x", encoding="utf-8") as file:
                json.dump(self._seen, file)
            os.rename(fresh, self.file)
        except OSError:
            return

    def _load(self) -> dict[str, list[int | str]]:
        """What was saved. Another user's file (sudo keeps HOME) is not believed."""
        try:
            with open(self.file, encoding="utf-8") as file:
                if os.fstat(file.fileno()).st_uid != os.geteuid():
                    return {}
                loaded = json.load(file)
        except (OSError, ValueError):
            return {}
        valid = isinstance(loaded, dict) and all(isinstance(row, list) and len(row) == 6 for row in loaded.values())
        return loaded if valid else {}
