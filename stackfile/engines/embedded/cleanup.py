"""Steps of a clean-up, each of which happens whatever became of the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stackfile import log
from stackfile.errors import StackfileError

_LOG = log.get("cleanup")


@contextmanager
def step(subject: str, what: str) -> Iterator[None]:
    """One step for `subject` (an id): a failure is noted and goes no further."""
    try:
        yield
    except (StackfileError, OSError) as error:
        _LOG.warning("%s: %s: %s", subject[:12], what, error)
