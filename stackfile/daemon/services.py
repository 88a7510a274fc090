"""What routes work with."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from stackfile.provider.engine import Engine
from stackfile.reconcile.reconciler import Reconciler
from stackfile.settings import Settings
from stackfile.supervisor.protocol import ProcessStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts of a running daemon. `stop_everything` ends the daemon and its supervisor, after the answer; `upgrade`
    has them become those of another interpreter.
    """

    settings: Settings
    engine: Engine
    reconciler: Reconciler
    engine_kind: str
    engine_id: str
    stop_everything: Callable[[], Awaitable[None]]
    upgrade: Callable[[str], Awaitable[str]]
    processes: Callable[[], Sequence[ProcessStatus]] = tuple
    """The engine's processes, as the supervisor says."""
    pid: int = field(default_factory=os.getpid)
    now_ns: Callable[[], int] = time.time_ns
