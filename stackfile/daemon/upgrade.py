"""A newer version asks for its place: the engine becomes that one, while containers run on."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Any

import stackfile
from stackfile import log, versions
from stackfile.errors import ActionError, ConflictError, EngineError
from stackfile.paths import RunPaths, StatePaths
from stackfile.reconcile.jobs import JobManager
from stackfile.settings import Settings
from stackfile.store.database import schema_version
from stackfile.supervisor.client import Supervisor

_JOBS_PATIENCE = 60.0
"""Seconds for which jobs under way are waited for."""
_TRIAL_PATIENCE = 30.0
_READY_PATIENCE = 10.0
"""Seconds for the supervisor's children to be ready, as they are not soon after a start."""
_PAUSE = 0.05
_LOG = log.get(__name__)


class Upgrade:
    """Waits until no job runs, has the other version tried, and then asks the supervisor to become it."""

    def __init__(self, settings: Settings, jobs: JobManager, supervisor: Supervisor) -> None:
        self._settings = settings
        self._jobs = jobs
        self._supervisor = supervisor
        self._target = ""

    async def run(self, python: str) -> str:
        """The version that the interpreter `python` has; the engine is about to become that when this returns.

        EngineError (`engine-incompatible`) where that is no newer version or does not work here, ConflictError
        (`conflict`) that names the job which runs for too long.
        """
        program = [python, "-I"]
        version = await self._try(program)
        if self._target == version:
            return version
        deadline = time.monotonic() + _JOBS_PATIENCE
        while running := [job for job in self._jobs.list() if not job.finished]:
            if time.monotonic() > deadline:
                job = running[0]
                raise ConflictError(
                    "conflict",
                    f"the engine cannot become version {version} now",
                    cause=f"job {job.id} ({job.kind} of {job.project}) runs",
                    hint="try again when it is done",
                )
            await asyncio.sleep(_PAUSE)
        await self._ask(program)
        _LOG.info("version %s takes over from %s", version, stackfile.__version__)
        self._target = version
        return version

    async def _try(self, program: list[str]) -> str:
        """The version of a program that does what an engine here needs."""
        found = await self._trial(program)
        version = str(found["version"])
        if versions.number(version) <= versions.number(stackfile.__version__):
            raise _unfit(version, f"the engine is version {stackfile.__version__}", "use that version")
        paths = (StatePaths(self._settings.root).database, RunPaths(self._settings.run).database)
        for path, schema in zip(paths, found["schemas"], strict=True):
            if schema_version(path) > schema:
                raise _unfit(version, f"it cannot read {path}", "use the version that wrote it, or a newer one")
        return version

    async def _trial(self, program: list[str]) -> dict[str, Any]:
        try:
            process = await asyncio.create_subprocess_exec(
                *program, "-m", "stackfile.daemon.trial",
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                cwd="/", env=dict(os.environ),
            )  # fmt: skip
        except OSError as error:
            raise _unfit("", f"{program[0]}: {error.strerror}") from error
        try:
            async with asyncio.timeout(_TRIAL_PATIENCE):
                out, complaint = await process.communicate()
        except TimeoutError as error:
            process.kill()
            await process.wait()
            raise _unfit("", f"{program[0]} does not answer") from error
        if process.returncode:
            lines = complaint.decode(errors="replace").strip().splitlines()
            raise _unfit("", f"{program[0]} fails: {lines[-1] if lines else process.returncode}")
        found: dict[str, Any] = json.loads(out)
        return found

    async def _ask(self, program: list[str]) -> None:
        deadline = time.monotonic() + _READY_PATIENCE
        while True:
            try:
                return self._supervisor.upgrade(program)
            except EngineError as error:
                if time.monotonic() > deadline:
                    raise ActionError("action-failed", "the engine cannot be upgraded", cause=error.cause) from error
            await asyncio.sleep(_PAUSE)


def _unfit(version: str, cause: str, hint: str = "") -> EngineError:
    return EngineError(
        "engine-incompatible", f"version {version or 'unknown'} cannot take over", cause=cause, hint=hint
    )
