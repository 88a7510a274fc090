"""Logging of the long-lived processes: one line a record, to the process's log file."""

from __future__ import annotations

import io
import logging
import os
import sys


class _Unfailing(io.TextIOBase):
    """Standard error, by the line. What the disk does not take is lost: a full one must not end who has to tell so."""

    def __init__(self) -> None:
        self._begun = ""

    def write(self, text: str) -> int:
        lines, newline, self._begun = (self._begun + text).rpartition("\n")
        if newline:
            try:
                os.write(2, (lines + newline).encode(errors="backslashreplace"))
            except OSError:
                pass
        return len(text)


def unfailing() -> None:
    """From now on nothing that this long-lived process writes to its log raises."""
    sys.stderr = _Unfailing()


def setup(process: str, level: str = "info") -> None:
    """Send records of this process to stderr (its log file) as `time level process logger message`."""
    unfailing()
    logging.basicConfig(
        stream=sys.stderr,
        level=level.upper(),
        format=f"%(asctime)s.%(msecs)03d %(levelname)s {process} %(name)s: %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
        force=True,
    )


def get(name: str) -> logging.Logger:
    """The logger of a module or object."""
    return logging.getLogger(name)
