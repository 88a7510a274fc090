"""`daemon status`: whether the engine's daemon runs, and how its processes are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.errors import EngineError, StackfileError

if TYPE_CHECKING:
    from stackfile.api import Ping
    from stackfile.api.replies import Process

_PATIENCE = 3.0
"""Seconds for the daemon's answer."""


def register() -> Verb:
    return Verb(
        name="daemon status",
        summary="Whether the engine's daemon runs, how its processes are; exit 4 when not",
        run=run,
        text="A process that ends soon after each start is in a crash loop: how often and how it ended is shown.\n"
        "JSON: {version, api, engine: {kind, id}, pid, host, processes: [{name, pid, state: running, stopped, away or\n"
        "crash loop, started_ns, restarts, failures, last_end, log}]}; without an answer {processes, errors}.",
    )


def run(context: Context, arguments: Arguments) -> int:
    try:
        client = context.client(start=False, check=False)
        ping, processes = client.ping(timeout=_PATIENCE), client.processes()
    except StackfileError as error:
        if error.reason not in ("engine-unreachable", "timeout") or _is_remote(context):
            raise
        return _without_daemon(context, error)
    if context.console.json:
        context.console.document(_document(ping, client.host) | {"processes": [asdict(row) for row in processes]})
    else:
        show(context, ping, client.host)
        _show_processes(context, processes)
    return 0


def show(context: Context, ping: Ping, host: str) -> None:
    if context.console.json:
        context.console.document(_document(ping, host))
    else:
        kind = ping.engine.get("kind", "embedded")
        context.console.say(f"The {kind} engine {ping.version} runs, pid {ping.pid}, at {host}.")


def _document(ping: Ping, host: str) -> dict[str, object]:
    return {"version": ping.version, "api": ping.api, "engine": dict(ping.engine), "pid": ping.pid, "host": host}


def _is_remote(context: Context) -> bool:
    return bool(context.options.text("host") or context.environ.get("STACKFILE_HOST"))


def _without_daemon(context: Context, error: StackfileError) -> int:
    """What the supervisor says instead. Raises EngineError where that is all to be said."""
    from stackfile import settings
    from stackfile.api import condition
    from stackfile.cli.output import errors

    chosen = settings.load(context.environ)
    cause, hint = condition.why(chosen)
    told = EngineError("engine-unreachable", error.message, cause=cause or error.cause, hint=hint or error.hint)
    processes = condition.look(chosen)
    if context.console.json and processes:
        context.console.document({"processes": [asdict(row) for row in processes], **errors.to_plain(told)})
        return told.exit_code
    _show_processes(context, processes)
    raise told from error


def _show_processes(context: Context, processes: Sequence[Process]) -> None:
    for row in processes:
        colour = "green" if row.state == "running" else "red"
        state = context.console.paint(f"{row.state:<10}", colour)
        pid = f"pid {row.pid}" if row.pid else ""
        context.console.say(f"  {row.name:<10} {state} {pid:<12} {_history(row)}".rstrip())


def _history(row: Process) -> str:
    if row.state == "crash loop":
        return f"ended {row.failures} times in a row, last with {row.last_end or 'no process'}; see {row.log}"
    if row.restarts:
        times = "once" if row.restarts == 1 else f"{row.restarts} times"
        return f"started again {times}, last after {row.last_end or 'no process'}"
    return ""
