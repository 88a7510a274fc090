"""`down`, applied."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from stackfile.model import labels
from stackfile.model.event import JobEvent
from stackfile.model.observed import DownOptions, Observed
from stackfile.provider.provider import Provider, Result, Work
from stackfile.reconcile import execution, removal
from stackfile.reconcile.execution import Handle, Report
from stackfile.reconcile.jobs import Job, Outcome
from stackfile.reconcile.outcome import outcome


class Down:
    """One `down` under way."""

    def __init__(self, provider: Provider, job: Job, project: str, options: DownOptions) -> None:
        self._provider = provider
        self._job = job
        self._project = project
        self._options = options

    async def run(self) -> Outcome:
        begin = time.monotonic()
        observed = await self._provider.observe(self._project, None)
        actions = removal.actions(observed, self._options)
        if not actions and observed.project is None:
            message = f"nothing to remove: there is no project {self._project}"
            self._job.emit(JobEvent(sequence=0, type="note", message=message, code="nothing", severity="info"))
        report = await execution.run(self._job, actions, self._perform)
        if report.complete and not self._options.services and not self._job.interrupted:
            await self._forget(observed)
        return outcome(self._job, report, self._result(report, observed, time.monotonic() - begin))

    async def _perform(self, handle: Handle) -> Result:
        work = Work(
            action=handle.action,
            project=self._project,
            stop_timeout=self._options.stop_timeout,
            force=True,
            volumes=self._options.volumes,
        )
        return await self._provider.execute(work, handle.progress)

    async def _forget(self, observed: Observed) -> None:
        """The project goes with its data; while a volume or a generated secret is kept, so is its record."""
        project = observed.project
        if project is None:
            return
        if self._options.volumes or not (observed.volumes or self._secrets(observed)):
            await self._provider.project_remove(self._project)
        elif project.stack is not None:
            await self._provider.project_put(replace(project, generation=project.generation + 1))

    def _secrets(self, observed: Observed) -> list[str]:
        """Secrets that were generated: nobody could make the same ones again."""
        stack = observed.project.stack if observed.project else None
        return [name for name, item in stack.secrets.items() if item.generate is not None] if stack else []

    def _result(self, report: Report, observed: Observed, seconds: float) -> dict[str, Any]:
        """Counts of what was removed, and what is kept."""
        counts: dict[str, int] = {}
        for action in report.done:
            kind = action.address.partition(".")[0]
            many = len(action.instances) if kind == "service" else 1
            counts[kind] = counts.get(kind, 0) + many
        return {
            "project": self._project,
            "containers": counts.get("service", 0),
            "networks": counts.get("network", 0),
            "volumes": counts.get("volume", 0),
            "secrets": counts.get("secret", 0),
            "configs": counts.get("config", 0),
            "images": counts.get("image", 0),
            "kept": [] if self._options.volumes or self._options.services else self._kept(observed),
            "seconds": round(seconds, 3),
            **execution.lists(report),
        }

    def _kept(self, observed: Observed) -> list[str]:
        volumes = [f"volume.{record.labels.get(labels.VOLUME, record.name)}" for record in observed.volumes]
        return [*volumes, *(f"secret.{name}" for name in self._secrets(observed))]
