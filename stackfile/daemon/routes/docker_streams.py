"""Containers' streams: attach, logs, wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from stackfile import wire
from stackfile.daemon import responses
from stackfile.daemon.batch import Batch
from stackfile.daemon.closing import closing
from stackfile.daemon.detach import parse_keys
from stackfile.daemon.dockerjson import times
from stackfile.daemon.frames import frame
from stackfile.daemon.hijack import take_over
from stackfile.daemon.relay import close, opened, relay
from stackfile.daemon.routing import DOCKER, Call, Table
from stackfile.errors import ActionError, StackfileError
from stackfile.provider.engine import LogChunk, LogQuery

table = Table(DOCKER)
_CONDITIONS = ("not-running", "next-exit", "removed")


@table.post("/containers/{id}/attach", stream=True)
async def attach(call: Call) -> web.StreamResponse:
    """With `stream=0` what was written until now, then the end; with `detach=0` no keys detach."""
    engine = call.services.engine
    record = await engine.container_get(call.path["id"])
    stdout, stderr = call.flag("stdout"), call.flag("stderr")
    keys = parse_keys(call.text("detachKeys")) if call.flag("detach", True) else b""
    if not call.flag("stream"):
        lines = engine.container_logs(record.id, LogQuery(stdout=stdout, stderr=stderr))
        return await take_over(call.request, lambda session: send(session.write, lines, record.spec.tty))
    stdin = call.flag("stdin") and record.spec.stdin_open
    attaching = engine.container_attach(record.id, stdin=stdin, stdout=stdout, stderr=stderr, logs=call.flag("logs"))
    streams = await opened(attaching, close)
    try:
        return await take_over(call.request, lambda session: relay(session, streams, stdin=stdin, detach_keys=keys))
    finally:
        await streams.close()


@table.get("/containers/{id}/logs", stream=True)
async def logs(call: Call) -> web.StreamResponse:
    engine = call.services.engine
    record = await engine.container_get(call.path["id"])
    query = log_query(call)
    tty = record.spec.tty
    response = await responses.stream(call.request, responses.RAW if tty else responses.MULTIPLEXED)
    lines = engine.container_logs(record.id, query)
    await send(response.write, lines, tty, stamped=call.flag("timestamps"))
    return response


Write = Callable[[bytes], Awaitable[None]]


async def send(write: Write, lines: AsyncIterator[LogChunk], tty: bool, *, stamped: bool = False) -> None:
    """Write lines as Docker does, `stamped` with their times, in frames but for a terminal. Errors of `write`."""
    async with closing(lines) as found, Batch(write) as batch:
        async for line in found:
            data = f"{times.rfc3339(line.time_ns)} ".encode() + line.data if stamped else line.data
            await batch.add(data if tty else frame(line.stream, data))


def log_query(call: Call) -> LogQuery:
    """The query of `logs`. Raises ActionError (`bad-request`)."""
    stdout, stderr = call.flag("stdout"), call.flag("stderr")
    if not stdout and not stderr:
        raise ActionError("bad-request", "Bad parameters: you must choose at least one stream")
    return LogQuery(
        stdout=stdout,
        stderr=stderr,
        follow=call.flag("follow"),
        since_ns=times.timestamp(call.text("since")),
        until_ns=times.timestamp(call.text("until")),
        tail=_tail(call.text("tail", "all")),
    )


def _tail(text: str) -> int | None:
    # Docker takes what is no number, `all` among it, for everything.
    return int(text) if text.isdigit() else None


@table.post("/containers/{id}/wait", stream=True)
async def wait(call: Call) -> web.StreamResponse:
    """The head goes out as soon as the wait is registered: the CLI starts the container only then."""
    engine = call.services.engine
    condition = call.text("condition") or "not-running"
    if condition not in _CONDITIONS:
        raise ActionError("bad-request", f"invalid condition: {condition!r}")
    record = await engine.container_get(call.path["id"])
    ended = asyncio.ensure_future(engine.container_wait(record.id, condition))
    try:
        # The task must have begun to wait before the client hears of it.
        await asyncio.sleep(0)
        response = await responses.stream(call.request, "application/json")
        try:
            status = await ended
            answer: dict[str, object] = {"StatusCode": status.exit_code if status.known else 255}
            if not status.known:
                answer["Error"] = {"Message": status.error}
        except StackfileError as error:
            answer = {"StatusCode": -1, "Error": {"Message": str(error)}, "error": wire.error_to_plain(error)}
        await response.write(responses.line(answer))
    finally:
        ended.cancel()
    return response
