"""Logging of the long-lived processes: one line a record, to the process's log file."""

from __future__ import annotations

import logging
import sys


def setup(process: str, level: str = "info") -> None:
    """Send records of this process to stderr (its log file) as `time level process logger message`."""
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
