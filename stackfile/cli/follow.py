"""Logs of several containers as one stream: in order of time, each line with the name of its container."""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from stackfile.cli.context import Context
from stackfile.cli.output.containers import short_name
from stackfile.errors import EngineError, StackfileError

if TYPE_CHECKING:
    from stackfile.api import LogLine
    from stackfile.model.container import ContainerRecord
    from stackfile.model.observed import Project

COLOURS = ("cyan", "yellow", "green", "magenta", "blue")
_COLUMN = 14
_LOOK, _SETTLE = 1.0, 0.2
"""Seconds between looks at what runs: while something is followed, and once nothing is any more."""
_QUEUED = 1000
"""Lines that wait to be printed; then the daemon waits with the rest of them."""
_PATIENCE = 10.0
"""Seconds until a daemon that has gone is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """What to show. `tail` is per container, None for everything; times in nanoseconds since the epoch, 0 for none."""

    tail: int | None = None
    since_ns: int = 0
    until_ns: int = 0
    timestamps: bool = False
    prefix: bool = True


class Printer:
    """Writes lines with a padded, coloured name before them."""

    def __init__(self, context: Context, names: Iterable[str], options: LogOptions) -> None:
        self._console = context.console
        self._options = options
        self._names = list(dict.fromkeys(names))
        self._width = max([_COLUMN, *(len(name) for name in self._names)])

    def line(self, name: str, line: LogLine) -> None:
        if self._console.json:
            self._console.line(_plain(name, line))
            return
        stamp = f"{_stamp(line.time_ns)} " if self._options.timestamps else ""
        self._console.print(self._prefix(name) + stamp + _text(line))

    def _prefix(self, name: str) -> str:
        if not self._options.prefix:
            return ""
        if name not in self._names:
            self._names.append(name)
        colour = COLOURS[self._names.index(name) % len(COLOURS)]
        return self._console.paint(f"{name:<{self._width}} |", colour) + " "


def show_logs(context: Context, records: Sequence[ContainerRecord], options: LogOptions) -> None:
    """What there is now, merged by time."""
    printer = Printer(context, [short_name(record) for record in records], options)
    for name, line in _history(context, records, options):
        printer.line(name, line)


def follow_logs(context: Context, project: Project, services: Sequence[str], options: LogOptions) -> int:
    """What there is, then what comes, also of containers that come, until none runs any more. Ctrl-C ends it."""
    records = context.containers_of(project, services)
    printer = Printer(context, [short_name(record) for record in records], options)
    follower = _Follower(context, options)
    for name, line in _history(context, records, options):
        follower.seen(name, line)
        printer.line(name, line)
    while True:
        for record in records:
            if record.state.running:
                follower.add(record)
        for name, line in follower.lines():
            printer.line(name, line)
        records = _patiently(lambda: context.containers_of(project, services))
        if not any(record.state.running for record in records):
            for name, line in follower.rest():
                printer.line(name, line)
            return 0


def stream_logs(context: Context, record: ContainerRecord, options: LogOptions, follow: bool) -> None:
    """One container's log, as the daemon streams it: stdout to ours, stderr to ours."""
    console = context.console
    lines = context.client().logs(
        record.id, follow=follow, tail=options.tail, since_ns=options.since_ns, until_ns=options.until_ns
    )
    for line in lines:
        if console.json:
            console.line(_plain(record.spec.name, line))
            continue
        stream = console.err if line.stream == 2 else console.out
        stream.write((f"{_stamp(line.time_ns)} " if options.timestamps else "") + line.data.decode(errors="replace"))
        stream.flush()


def _history(
    context: Context, records: Sequence[ContainerRecord], options: LogOptions
) -> Iterator[tuple[str, LogLine]]:
    def one(record: ContainerRecord) -> Iterator[tuple[int, str, LogLine]]:
        name = short_name(record)
        lines = context.client().logs(
            record.id, tail=options.tail, since_ns=options.since_ns, until_ns=options.until_ns
        )
        return ((line.time_ns, name, line) for line in lines)

    for _, name, line in heapq.merge(*(one(record) for record in records), key=lambda item: item[:2]):
        yield name, line


def _patiently(look: Callable[[], list[ContainerRecord]]) -> list[ContainerRecord]:
    """Containers outlive their daemon, which is back soon after it has died."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return look()
        except EngineError:
            if time.monotonic() > until:
                raise
            time.sleep(_SETTLE)


class _Follower:
    """A thread a container puts its lines into one queue; None says that one has ended."""

    def __init__(self, context: Context, options: LogOptions) -> None:
        self._context = context
        self._options = options
        self._queue: queue.Queue[tuple[str, LogLine | None]] = queue.Queue(_QUEUED)
        self._live: set[str] = set()
        self._last: dict[str, tuple[int, int]] = {}
        """Name → (time of its last line, number of lines with that time): where to go on."""

    def seen(self, name: str, line: LogLine) -> None:
        time_ns, count = self._last.get(name, (0, 0))
        self._last[name] = (line.time_ns, count + 1 if line.time_ns == time_ns else 1)

    def add(self, record: ContainerRecord) -> None:
        name = short_name(record)
        if name not in self._live:
            self._live.add(name)
            threading.Thread(target=self._read, args=(record, name), name=f"logs {name}", daemon=True).start()

    def lines(self) -> Iterator[tuple[str, LogLine]]:
        """Lines as they come, until a container ends or a moment passes: then look again at what runs."""
        until = time.monotonic() + (_LOOK if self._live else _SETTLE)
        while (left := until - time.monotonic()) > 0:
            try:
                name, line = self._queue.get(timeout=left)
            except queue.Empty:
                return
            if line is None:
                self._live.discard(name)
                return
            self.seen(name, line)
            yield name, line

    def rest(self) -> Iterator[tuple[str, LogLine]]:
        """What is still on its way when nothing runs any more."""
        while self._live:
            try:
                name, line = self._queue.get(timeout=_PATIENCE)
            except queue.Empty:
                return
            if line is None:
                self._live.discard(name)
            else:
                yield name, line

    def _read(self, record: ContainerRecord, name: str) -> None:
        since, skip = self._last.get(name, (0, 0))
        tail = self._options.tail if not since and self._options.tail == 0 else None
        try:
            with self._context.fresh_client() as client:
                for line in client.logs(
                    record.id,
                    follow=True,
                    tail=tail,
                    since_ns=since or self._options.since_ns,
                    until_ns=self._options.until_ns,
                ):
                    if line.time_ns < since:
                        continue
                    if line.time_ns == since and skip:
                        skip -= 1
                        continue
                    self._queue.put((name, line))
        except StackfileError:
            # The container was removed or the daemon ended; the next look at what runs says so.
            pass
        finally:
            self._queue.put((name, None))


def _text(line: LogLine) -> str:
    return line.data.decode(errors="replace").removesuffix("\n").removesuffix("\r")


def _plain(name: str, line: LogLine) -> dict[str, str]:
    return {
        "container": name,
        "stream": "stderr" if line.stream == 2 else "stdout",
        "time": _stamp(line.time_ns),
        "message": _text(line),
    }


def _stamp(time_ns: int) -> str:
    """RFC 3339 with nanoseconds, as docker logs -t."""
    whole = datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{time_ns % 10**9:09}Z"
