"""The two databases as SQLite sees them."""

from __future__ import annotations

import asyncio

from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.fsck import contents
from stackfile.engines.embedded.fsck.problem import Problem, Repair
from stackfile.engines.embedded.pool import WorkerPool
from stackfile.errors import ActionError
from stackfile.store.database import reindex


class DatabaseFaults:
    """Checked by a worker process with a connection of its own, as it takes long for a large one."""

    def __init__(self, core: Core, pool: WorkerPool) -> None:
        self._core = core
        self._pool = pool

    async def look(self) -> list[Problem]:
        found = []
        for path in (self._core.paths.database, self._core.run_paths.database):
            if wrong := await self._check(path):
                mend = "its indexes are made anew; what is lost else, only a copy brings back (or system reset)"
                found.append(Problem("database-damaged", f"database {path}", wrong, mend, self._reindex(path)))
        return found

    async def _check(self, path: str) -> str:
        return await asyncio.get_running_loop().run_in_executor(self._pool, contents.check_database, path)

    def _reindex(self, path: str) -> Repair:
        async def repair() -> None:
            await asyncio.to_thread(reindex, path)
            if wrong := await self._check(path):
                raise ActionError("database-damaged", f"{path} is damaged", cause=wrong)

        return repair
