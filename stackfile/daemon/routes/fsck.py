"""What database, files and kernel disagree about: a job, since it takes long and shows how far it is."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from stackfile import wire
from stackfile.daemon.routes import jobs
from stackfile.daemon.routing import OURS, Call, Table
from stackfile.model.event import JobEvent
from stackfile.provider.engine import Engine
from stackfile.reconcile.jobs import DONE, Job, Outcome

table = Table(OURS)
_KIND = "fsck"


@dataclass(frozen=True, slots=True, kw_only=True)
class FsckRequest:
    repair: bool = False
    quick: bool = False
    """Read no contents."""


@table.post("/fsck", stream=True)
async def fsck(call: Call) -> web.StreamResponse:
    """Start a check and stream it; the result of its end is {"faults"}. One runs at a time, beside all other jobs."""
    request = await call.read(FsckRequest)
    engine = call.services.engine
    job = call.services.reconciler.jobs.start(_KIND, "", lambda job: _run(engine, job, request))
    return await jobs.follow_own(call, job)


async def _run(engine: Engine, job: Job, request: FsckRequest) -> Outcome:
    def tell(detail: str) -> None:
        job.emit(JobEvent(sequence=0, type="action", address=_KIND, action="check", status="progress", detail=detail))

    faults = await engine.fsck(repair=request.repair, quick=request.quick, progress=tell)
    return Outcome(status=DONE, result={"faults": [wire.to_plain(fault) for fault in faults]})
