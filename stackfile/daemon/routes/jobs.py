"""Jobs: everything that changes a project, as a stream of its progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiohttp import web

from stackfile import wire
from stackfile.daemon import responses
from stackfile.daemon.routing import OURS, Call, Table
from stackfile.errors import ActionError
from stackfile.model.image import RegistryAuth
from stackfile.model.observed import DownOptions, UpOptions
from stackfile.model.stack import SecretResource, Stack
from stackfile.reconcile.jobs import Job
from stackfile.reconcile.reconciler import Reconciler

T = TypeVar("T")

table = Table(OURS)
_LIFECYCLE = ("start", "stop", "restart", "kill", "rm")
_OPTIONS: dict[str, type] = {"timeout": int, "signal": str, "force": bool, "volumes": bool}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """`options` are UpOptions of up and apply (where `wait` and `timeout` count), DownOptions of down, `no_cache` of
    build, `policy` (always, missing) of pull, and the verb's own of the others."""

    kind: str
    stack: Stack | None = None
    project: str = ""
    services: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    """A saved plan (`stackfile.plan/v1`), of apply."""
    secrets: dict[str, SecretResource] = field(default_factory=dict)
    """Contents of the secrets that the plan stores."""
    credentials: dict[str, RegistryAuth] = field(default_factory=dict, repr=False)
    """By registry, for the pulls of this job."""


@table.post("/jobs", stream=True)
async def start(call: Call) -> web.StreamResponse:
    """Start a job and stream it. A client that goes away interrupts it, unless `detach` is given."""
    request = await call.read(JobRequest)
    job = begin(call.services.reconciler, request)
    if call.flag("detach"):
        return responses.json({"id": job.id}, 202)
    return await follow_own(call, job)


async def follow_own(call: Call, job: Job) -> web.StreamResponse:
    """Stream a job to the client that asked for it, whose going away interrupts it."""
    try:
        return await _follow(call, job, 0)
    finally:
        if not job.finished:
            job.interrupt()


def begin(reconciler: Reconciler, request: JobRequest) -> Job:
    """Start what a request asks for. Raises ActionError (`bad-request`)."""
    if request.kind in _LIFECYCLE:
        options = _checked(request.options)
        return reconciler.lifecycle(request.kind, _project(request), request.services, **options)
    maker = _MAKERS.get(request.kind)
    if maker is None:
        raise ActionError("bad-request", f"unknown kind of job: {request.kind!r}")
    return maker(reconciler, request)


def _up(reconciler: Reconciler, request: JobRequest) -> Job:
    return reconciler.up(_stack(request), wire.from_plain(request.options, UpOptions), request.credentials)


def _down(reconciler: Reconciler, request: JobRequest) -> Job:
    return reconciler.down(_project(request), wire.from_plain(request.options, DownOptions))


def _build(reconciler: Reconciler, request: JobRequest) -> Job:
    no_cache = bool(request.options.get("no_cache", False))
    return reconciler.build(_stack(request), request.names, no_cache, request.credentials)


def _pull(reconciler: Reconciler, request: JobRequest) -> Job:
    policy = request.options.get("policy", "always")
    if policy not in ("always", "missing"):
        raise ActionError("bad-request", f"bad option of a job: policy={policy!r}")
    return reconciler.pull(_stack(request), request.names, policy, request.credentials)


def _apply(reconciler: Reconciler, request: JobRequest) -> Job:
    options = wire.from_plain(request.options, UpOptions)
    return reconciler.apply(
        request.plan,
        request.secrets,
        wait=options.wait,
        timeout=options.timeout,
        credentials=request.credentials,
    )


_MAKERS: dict[str, Callable[[Reconciler, JobRequest], Job]] = {
    "up": _up, "down": _down, "build": _build, "pull": _pull, "apply": _apply,
}  # fmt: skip


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for name, value in options.items():
        if value is None:
            continue
        kind = _OPTIONS.get(name)
        if kind is None or not isinstance(value, kind):
            raise ActionError("bad-request", f"bad option of a job: {name}={value!r}")
        found[name] = value
    return found


def _stack(request: JobRequest) -> Stack:
    if request.stack is None:
        raise ActionError("bad-request", f"{request.kind} needs a stack")
    return request.stack


def _project(request: JobRequest) -> str:
    if not request.project:
        raise ActionError("bad-request", f"{request.kind} needs a project")
    return request.project


async def _follow(call: Call, job: Job, after: int) -> web.StreamResponse:
    response = await responses.stream(call.request, responses.NDJSON)
    async for event in job.events(after):
        await response.write(responses.line(event))
    return response


@table.get("/jobs")
async def list_jobs(call: Call) -> web.StreamResponse:
    jobs = call.services.reconciler.jobs.list()
    return responses.json(
        [{"id": job.id, "kind": job.kind, "project": job.project, "status": job.status} for job in jobs]
    )


@table.get("/jobs/{id}/events", stream=True)
async def events(call: Call) -> web.StreamResponse:
    """Events after a sequence number; a client that goes away leaves the job alone."""
    return await _follow(call, call.services.reconciler.jobs.get(call.path["id"]), call.number("after", 0) or 0)


@table.post("/jobs/{id}/interrupt")
async def interrupt(call: Call) -> web.StreamResponse:
    call.services.reconciler.jobs.get(call.path["id"]).interrupt()
    return responses.empty()
