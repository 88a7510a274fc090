"""Work that nobody waits for: kept alive while it runs, and its failure is noted instead of lost."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from stackfile import log

_LOG = log.get("background")
_tasks: set[asyncio.Task[None]] = set()


def spawn(work: Coroutine[Any, Any, None], what: str) -> asyncio.Task[None]:
    """Run `work` as a task; `what` names it in the log should it fail."""
    task = asyncio.get_running_loop().create_task(_guarded(work, what), name=what)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


async def _guarded(work: Coroutine[Any, Any, None], what: str) -> None:
    try:
        await work
    except Exception:
        _LOG.exception("%s failed", what)
