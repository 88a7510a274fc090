"""Progress: rows from events, plain lines, a frame that is rewritten, JSON lines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stackfile.cli.output import progress
from stackfile.cli.output.frame import clip, columns
from stackfile.model.event import JobEvent
from tests.unit.cli.output.consoles import console, text

HEADER = "quickstart · environment dev · stack.yaml · embedded engine"
PLAN: dict[str, Any] = {
    "actions": [
        {"id": "a0", "address": "image.python", "action": "build", "instances": []},
        {"id": "a1", "address": "volume.data", "action": "create", "instances": []},
        {"id": "a2", "address": "service.web", "action": "create", "instances": [{"index": 1}, {"index": 2}]},
    ]
}


def action(identity: str, status: str, **rest: Any) -> JobEvent:
    planned = {item["id"]: item for item in PLAN["actions"]}[identity]
    return JobEvent(
        sequence=0,
        type="action",
        id=identity,
        address=rest.pop("address", planned["address"]),
        action=planned["action"],
        status=status,
        **rest,
    )


EVENTS = (
    JobEvent(sequence=0, type="job", id="j"),
    JobEvent(sequence=0, type="plan", plan=PLAN),
    action("a0", "started"),
    action("a0", "done", word="built", detail="41 files, 3 programs", seconds=1.2),
    action("a1", "done", word="created", seconds=0.01),
    action("a2", "started"),
    action("a2", "done", word="healthy", detail="http://localhost:8080", seconds=0.34),
    JobEvent(sequence=0, type="end", status="done"),
)
LINES = [
    " ✔ image.python            built        41 files, 3 programs           1.2 s",
    " ✔ volume.data             created",
    " ✔ service.web[1..2]       healthy      http://localhost:8080          0.3 s",
]


def show(mode: str, events: tuple[JobEvent, ...], **options: Any) -> str:
    made = console(terminal=mode == "tty", progress=mode)
    shown = progress.make(made, HEADER, **options)
    for event in events:
        shown.feed(event)
    shown.close()
    return text(made)


def test_plain() -> None:
    assert show("plain", EVENTS).splitlines() == [HEADER, *LINES]


def test_nothing_done_shows_no_header() -> None:
    assert show("plain", (EVENTS[0], JobEvent(sequence=0, type="plan", plan={"actions": []}), EVENTS[-1])) == ""


def test_json_is_every_event() -> None:
    lines = [json.loads(line) for line in show("json", EVENTS).splitlines()]
    assert [line["type"] for line in lines] == ["job", "plan", *["action"] * 5, "end"]


def test_quiet() -> None:
    assert show("quiet", EVENTS) == ""


def screen(output: str) -> list[str]:
    """What stands on a terminal in the end: cursor up, erase below, colours."""
    lines: list[str] = [""]
    row = 0
    position = 0
    while position < len(output):
        if output[position] == "\x1b":
            end = next(i for i in range(position + 2, len(output)) if output[i].isalpha())
            code, argument = output[end], output[position + 2 : end]
            if code == "A":
                row -= int(argument)
            elif code == "J":
                del lines[row + 1 :]
                lines[row] = ""
            position = end + 1
            continue
        letter = output[position]
        position += 1
        if letter == "\n":
            row += 1
            if row == len(lines):
                lines.append("")
        elif letter != "\r":
            lines[row] += letter
    return [line for line in lines if line]


def test_terminal_ends_with_the_same_lines() -> None:
    assert screen(show("tty", EVENTS)) == [HEADER, *LINES]


def test_transient_rows_vanish_but_not_failures() -> None:
    assert screen(show("tty", EVENTS, transient=True)) == [HEADER]
    failed = action("a2", "failed", error={"message": "port 8080 is taken"})
    log = JobEvent(sequence=0, type="log", address="service.web", message="\x1b[31mboom\n")
    lines = screen(show("tty", (*EVENTS[:5], failed, log), transient=True))
    assert lines[-2:] == [" ✘ service.web[1..2]       failed       port 8080 is taken             0.0 s",
                          "   service.web[1..2] | [31mboom"]  # fmt: skip


def test_replicas_that_report_alone_are_one_row() -> None:
    events = (
        action("a2", "started", address="service.web[1]", attributes={"instances": "1"}),
        action("a2", "done", word="healthy", address="service.web[2]", attributes={"instances": "1..2"}),
    )
    assert show("plain", events).splitlines()[1].split()[:2] == ["✔", "service.web[1..2]"]


def test_a_row_is_done_when_all_its_actions_are() -> None:
    plan = {"actions": [
        {"id": "x", "address": "service.a", "action": "create", "instances": [{"index": 2}]},
        {"id": "y", "address": "service.a", "action": "recreate", "instances": [{"index": 1}]},
    ]}  # fmt: skip
    first, second = (
        JobEvent(sequence=0, type="action", id=identity, address="service.a", action="create", status="done", word="w")
        for identity in "xy"
    )
    shown = show("plain", (JobEvent(sequence=0, type="plan", plan=plan), first))
    assert shown.splitlines() == [HEADER]
    shown = show("plain", (JobEvent(sequence=0, type="plan", plan=plan), first, second))
    assert len(shown.splitlines()) == 2


def test_logs_of_builds_are_plain_lines() -> None:
    log = JobEvent(sequence=0, type="log", address="image.app", message="compiling\r\n")
    assert show("plain", (log,)).splitlines() == [HEADER, "   image.app | compiling"]


@pytest.mark.parametrize(
    ("line", "limit", "cut"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("日本語", 5, "日本…"),
        ("\x1b[31mabcdef\x1b[0m", 4, "\x1b[31mabc…\x1b[0m"),
    ],
)
def test_clip(line: str, limit: int, cut: str) -> None:
    assert clip(line, limit) == cut
    assert columns(cut) <= limit
