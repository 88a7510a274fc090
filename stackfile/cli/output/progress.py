"""Progress of a job: live lines on a terminal, plain lines elsewhere, JSON lines for programs, or nothing.

All of it is what the command has to say, so it goes to stdout; stderr holds errors and warnings.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from stackfile.cli.output import addresses
from stackfile.cli.output.console import Console
from stackfile.cli.output.frame import Frame
from stackfile.cli.output.rows import Row, Rows, printable
from stackfile.model.event import JobEvent

_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_TICK = 0.1
_ADDRESS = 23
_WORD = 12
_DETAIL = 30
_TIMED = ("image", "service")
"""Kinds whose time is always shown; of others only when it is worth a word."""


class Progress:
    """Follows a job. This base shows nothing (--quiet) but keeps the rows."""

    def __init__(self, console: Console, header: str = "") -> None:
        self.console = console
        self.rows = Rows()
        self.plan: dict[str, Any] = {}
        """The plan that is applied, in JSON form."""

        self._header = header

    def feed(self, event: JobEvent) -> None:
        """Take the next event."""
        if event.type == "plan" and event.plan is not None:
            self.plan = event.plan
            self.rows.plan(event.plan)
        elif event.type == "action":
            self.acted(self.rows.action(event), event)
        elif event.type == "log":
            self.logged(self.rows.log(event), event)
        elif event.type == "waiting":
            self.said(event.message)
        elif event.type == "note":
            self.said(f"{event.severity or 'note'}: {event.message}")

    def acted(self, row: Row, event: JobEvent) -> None:
        """A row changed."""

    def logged(self, row: Row, event: JobEvent) -> None:
        """A build step or a failed container said something."""

    def said(self, message: str) -> None:
        """A word between the rows."""

    def close(self) -> None:
        """The job has ended, or nobody follows it any more."""

    def take_header(self) -> list[str]:
        """The header, once."""
        lines = [self._header] if self._header else []
        self._header = ""
        return lines


class PlainProgress(Progress):
    """A line when something is done, whole lines of builds: for logs and pipes."""

    def acted(self, row: Row, event: JobEvent) -> None:
        self._lines(self.take_header())
        if row.finished:
            self._lines([row_line(row, self.console, max(_ADDRESS, self.rows.width))])

    def logged(self, row: Row, event: JobEvent) -> None:
        name = event.attributes.get("container") or row.address
        self._lines([*self.take_header(), f"   {name} | {printable(event.message.rstrip())}"])

    def said(self, message: str) -> None:
        self._lines([message])

    def _lines(self, lines: list[str]) -> None:
        for line in lines:
            self.console.print(line)


class TtyProgress(Progress):
    """Rows rewritten in place, with a spinner and the time so far. A thread keeps them moving."""

    def __init__(self, console: Console, header: str = "", *, transient: bool = False) -> None:
        super().__init__(console, header)
        self._frame = Frame(console)
        self._transient = transient
        """Whether rows vanish in the end, when nothing failed."""
        self._above: list[str] = []
        self._scrolled = 0
        self._lock = threading.RLock()
        self._began: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="progress", daemon=True)
        self._thread.start()

    def feed(self, event: JobEvent) -> None:
        with self._lock:
            super().feed(event)

    def acted(self, row: Row, event: JobEvent) -> None:
        self._began.setdefault(row.base, time.monotonic())
        self._above += self.take_header()
        self._draw()

    def said(self, message: str) -> None:
        self._above.append(message)
        self._draw()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        with self._lock:
            rows = self.rows.shown()
            failed = [row for row in rows if row.status == "failed"]
            for row in rows:
                row.status = row.status if row.finished else "skipped"
            keep = [] if self._transient and not failed else rows[self._scrolled :]
            lines = [self._line(row) for row in keep]
            for row in failed:
                lines += log_lines(row)
            self._frame.draw(self._above + lines, [])
            self._above = []

    def _tick(self) -> None:
        while not self._stop.wait(_TICK):
            with self._lock:
                self._draw()

    def _draw(self) -> None:
        rows = self.rows.shown()
        waiting = rows[self._scrolled :]
        while len(waiting) > self._frame.room and waiting[0].finished and not self._transient:
            self._above.append(self._line(waiting.pop(0)))
            self._scrolled += 1
        lines = self._fitting(waiting)
        if lines or self._above:
            self._frame.draw(self._above, lines)
            self._above = []

    def _fitting(self, rows: list[Row]) -> list[str]:
        """Lines of the rows that fit; those under way come first when not all do."""
        room = self._frame.room
        if len(rows) <= room:
            return [text for row in rows for text in self._with_log(row, room - len(rows))]
        active = [row for row in rows if not row.finished][: room - 1]
        return [*(self._line(row) for row in active), f"   … and {len(rows) - len(active)} more"]

    def _with_log(self, row: Row, spare: int) -> list[str]:
        line = self._line(row)
        if row.finished or not row.log or spare < 1:
            return [line]
        return [line, self.console.paint(f"     {row.log[-1]}", "dim", self.console.out)]

    def _line(self, row: Row) -> str:
        now = time.monotonic()
        seconds = None if row.finished else now - self._began.get(row.base, now)
        line = row_line(row, self.console, max(_ADDRESS, self.rows.width), seconds, int(now / _TICK))
        return self._frame.fitted(line)


class JsonProgress(Progress):
    """Every event as a line of JSON on stdout; fields that are empty are left out, `sequence` and `type` never."""

    def feed(self, event: JobEvent) -> None:
        from stackfile.api import to_plain

        super().feed(event)
        fields = to_plain(event)
        self.console.line({name: value for name, value in fields.items() if value or name in ("sequence", "type")})


def make(console: Console, header: str = "", *, transient: bool = False) -> Progress:
    """The progress that the console's mode asks for. `transient` rows vanish from a terminal at a good end."""
    if console.mode == "tty":
        return TtyProgress(console, header, transient=transient)
    kinds = {"plain": PlainProgress, "json": JsonProgress}
    return kinds.get(console.mode, Progress)(console, header)


def row_line(row: Row, console: Console, width: int, seconds: float | None = None, turn: int = 0) -> str:
    """` ✔ service.store           healthy                                     0.3 s`."""
    mark, style = _mark(row, turn)
    took = row.seconds if seconds is None else seconds
    time_text = f"{took:.1f} s" if addresses.kind(row.base) in _TIMED or took >= 0.1 else ""
    detail = _detail(row)
    text = f"{row.address:<{width}} {row.word:<{_WORD}} {detail:<{_DETAIL}} {time_text}"
    return f" {console.paint(mark, style, console.out)} {text}".rstrip()


def log_lines(row: Row) -> list[str]:
    """The last lines of what a failed resource said."""
    return [f"   {row.address} | {line}" for line in row.log]


def _mark(row: Row, turn: int) -> tuple[str, str]:
    if row.status == "done":
        return "✔", "green"
    if row.status == "failed":
        return "✘", "red"
    if row.status == "skipped":
        return "-", "dim"
    return _SPINNER[turn % len(_SPINNER)], "cyan"


def _detail(row: Row) -> str:
    if row.status == "failed" and row.error:
        return str(row.error.get("message", "")) or row.detail
    return row.detail
