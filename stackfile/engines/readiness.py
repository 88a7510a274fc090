"""Waiting until a service's containers are started, healthy or done."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from stackfile.engines.together import all_or_none
from stackfile.errors import ActionError
from stackfile.model import labels
from stackfile.model.container import ContainerRecord
from stackfile.provider.engine import Engine
from stackfile.provider.provider import COMPLETED, HEALTHY, Result

SETTLE = 0.1
"""Seconds that a container without health check must live to count as running."""
_WEB = frozenset({80, 3000, 4000, 5000, 8000, 8008, 8080, 8081, 8888, 9090})
_WEB_TLS = frozenset({443, 8443})


class Listing:
    """Containers of a project; callers that ask at the same moment share one look at the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._due: dict[str, asyncio.Task[Sequence[ContainerRecord]]] = {}

    async def of(self, project: str) -> Sequence[ContainerRecord]:
        """What exists after this call began."""
        task = self._due.get(project)
        if task is None:
            task = self._due[project] = asyncio.ensure_future(self._look(project))
        return await asyncio.shield(task)

    async def _look(self, project: str) -> Sequence[ContainerRecord]:
        # Who comes after this may have changed something in between: he needs a look of his own.
        del self._due[project]
        return await self._engine.container_list(project=project)


def replicas(records: Iterable[ContainerRecord], service: str, indices: Sequence[int] = ()) -> list[ContainerRecord]:
    """Replicas of a service, by index; those of `indices` where given."""
    wanted = {str(index) for index in indices}
    found = [
        record
        for record in records
        if record.spec.labels.get(labels.SERVICE) == service
        and record.spec.labels.get(labels.ONEOFF, "False") != "True"
        and (not wanted or record.spec.labels.get(labels.NUMBER) in wanted)
    ]
    # During a replacement an index has two containers: the one that runs counts.
    found.sort(key=lambda record: record.state.running)
    current = {record.spec.labels.get(labels.NUMBER, record.id): record for record in found}
    return sorted(current.values(), key=lambda record: (len(record.spec.name), record.spec.name))


async def wait(engine: Engine, records: Sequence[ContainerRecord], condition: str, timeout: float) -> Result:
    """Until the condition holds for these containers. Raises ActionError naming the one it does not hold for."""
    words = await all_or_none(_one(engine, record, condition, timeout) for record in records)
    now = [await engine.container_get(record.id) for record in records]
    # The least that holds for all of them: one that only runs makes the service running.
    word = next((item for item in ("started", "running", "healthy", "completed") if item in words), "running")
    return Result(word=word, detail=addresses(now))


async def _one(engine: Engine, record: ContainerRecord, condition: str, timeout: float) -> str:
    if condition == COMPLETED:
        return await _completed(engine, record, timeout)
    if condition == HEALTHY:
        return await healthy(engine, record.id, timeout)
    if record.state.running:
        return "running"
    return _ended(record)


async def healthy(engine: Engine, ref: str, timeout: float) -> str:
    """Until a container is healthy, or runs when it has no health check, or has completed. Returns the word."""
    record = await engine.container_get(ref)
    if not record.state.running:
        return _ended(record)
    try:
        record = await engine.container_wait_healthy(ref, timeout)
    except ActionError as error:
        if error.reason != "exited-early":
            raise
        return _ended(await engine.container_get(ref), error)
    if record.state.health.status == "healthy":
        return "healthy"
    await _settle(engine, record)
    record = await engine.container_get(ref)
    return "running" if record.state.running else _ended(record)


async def steady(engine: Engine, ref: str, seconds: float) -> None:
    """Let a container run for `seconds`. Raises ActionError (`exited-early`, `unhealthy`) when it does not."""
    if not seconds:
        return
    try:
        async with asyncio.timeout(seconds):
            await engine.container_wait(ref, "not-running")
    except TimeoutError:
        record = await engine.container_get(ref)
        if record.state.health.status == "unhealthy":
            raise ActionError("unhealthy", f"container {record.spec.name} became unhealthy") from None
        return
    _ended(await engine.container_get(ref))


async def _settle(engine: Engine, record: ContainerRecord) -> None:
    """Let a young container live for a moment: a command that fails at once shows itself."""
    rest = SETTLE - _age(record.state.started_at)
    if rest <= 0:
        return
    try:
        async with asyncio.timeout(rest):
            await engine.container_wait(record.id, "not-running")
    except TimeoutError:
        return


def _age(started_at: str) -> float:
    """Seconds since an RFC 3339 time in UTC (`2026-11-24T03:20:11.123456789Z`); 0 for one that does not parse."""
    # Python 3.11 reads at most six digits of a fraction.
    head, _, fraction = started_at.rstrip("Z").partition(".")
    try:
        started = datetime.fromisoformat(f"{head}.{fraction[:6]:0<6}+00:00")
    except ValueError:
        return 0
    return max(0.0, (datetime.now(UTC) - started).total_seconds())


def _ended(record: ContainerRecord, error: ActionError | None = None) -> str:
    """`completed` for one that ended well and may rest; else raises."""
    state, name = record.state, record.spec.name
    well = state.status == "exited" and state.exit_code == 0 and state.exit_known and not state.stopped_by_user
    if well and record.spec.restart.name in ("no", "on-failure"):
        return "completed"
    if error is not None:
        raise error
    if state.status == "created":
        raise ActionError("not-running", f"container {name} was never started", cause=state.error)
    raise ActionError("exited-early", f"container {name} exited with code {state.exit_status.words}", cause=state.error)


async def _completed(engine: Engine, record: ContainerRecord, timeout: float) -> str:
    if record.state.status == "created":
        return _ended(record)
    try:
        async with asyncio.timeout(timeout):
            ended = await engine.container_wait(record.id, "not-running")
    except TimeoutError as error:
        raise ActionError("timeout", f"container {record.spec.name} has not completed within {timeout:g} s") from error
    if ended.exit_code != 0:
        raise ActionError(
            "exited-early", f"container {record.spec.name} exited with code {ended.words}", cause=ended.error
        )
    return "completed"


def addresses(records: Iterable[ContainerRecord]) -> str:
    """Where the published ports answer, for a person: `http://localhost:8080, localhost:5432`."""
    found = []
    for record in records:
        for port in record.published:
            host = "localhost" if port.host_ip in ("", "0.0.0.0", "::", "127.0.0.1") else port.host_ip
            scheme = "http://" if port.target in _WEB else "https://" if port.target in _WEB_TLS else ""
            suffix = "" if port.protocol == "tcp" else f"/{port.protocol}"
            found.append(f"{scheme if port.protocol == 'tcp' else ''}{host}:{port.published}{suffix}")
    return ", ".join(dict.fromkeys(found))
