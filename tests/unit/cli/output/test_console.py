"""When there are colours, and which kind of progress."""

from __future__ import annotations

import pytest

from tests.unit.cli.output.consoles import console, text


@pytest.mark.parametrize(
    ("terminal", "ansi", "environ", "coloured"),
    [
        (True, "auto", {}, True),
        (False, "auto", {}, False),
        (True, "auto", {"NO_COLOR": "1"}, False),
        (True, "auto", {"NO_COLOR": ""}, True),
        (True, "auto", {"TERM": "dumb"}, False),
        (True, "never", {}, False),
        (False, "always", {"NO_COLOR": "1"}, True),
    ],
)
def test_colours(terminal: bool, ansi: str, environ: dict[str, str], coloured: bool) -> None:
    made = console(terminal=terminal, ansi=ansi, environ=environ)
    assert made.coloured(made.out) is coloured
    assert made.paint("x", "red") == ("\x1b[31mx\x1b[0m" if coloured else "x")


@pytest.mark.parametrize(
    ("options", "mode"),
    [
        ({"terminal": True}, "tty"),
        ({}, "plain"),
        ({"terminal": True, "ansi": "never"}, "plain"),
        ({"terminal": True, "progress": "plain"}, "plain"),
        ({"progress": "tty"}, "tty"),
        ({"terminal": True, "json": True}, "json"),
        ({"progress": "json"}, "json"),
        ({"terminal": True, "quiet": True}, "quiet"),
        ({"progress": "quiet"}, "quiet"),
    ],
)
def test_mode(options: dict[str, object], mode: str) -> None:
    assert console(**options).mode == mode  # type: ignore[arg-type]


def test_json_leaves_words_for_people_out() -> None:
    made = console(json=True)
    made.say("hello")
    made.line({"a": "ü"})
    assert text(made) == '{"a":"ü"}\n'
