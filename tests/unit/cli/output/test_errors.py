"""Errors: the line and its caret, causes, hints of one and of several lines."""

from __future__ import annotations

from stackfile.cli.output import errors
from stackfile.errors import EngineError, Place, StackError
from tests.unit.cli.output.consoles import console

SOURCE = ["services:", "  web:", "    image: {{ x }}", "\tports: 80"]


def render(error: StackError | EngineError) -> list[str]:
    return errors.render(error, console(), lambda path: SOURCE if path == "stack.yaml" else None).splitlines()


def test_excerpt_with_caret() -> None:
    error = StackError(
        "unquoted-template",
        "a template must be quoted",
        at=Place("stack.yaml", 3, 12),
        hint='write: image: "{{ x }}"',
    )
    assert render(error) == [
        "error: a template must be quoted",
        "  --> stack.yaml:3:12",
        "   3 |     image: {{ x }}",
        "     |            ^",
        '  hint: write: image: "{{ x }}"',
    ]


def test_tabs_stay_tabs() -> None:
    assert render(StackError("bad-type", "x", at=Place("stack.yaml", 4, 9)))[-1] == "     | \t       ^"


def test_unreadable_source_and_places_out_of_it() -> None:
    assert render(StackError("bad-type", "x", at=Place("gone.yaml", 3, 1))) == ["error: x", "  --> gone.yaml:3:1"]
    assert render(StackError("bad-type", "x", at=Place("stack.yaml", 99, 1))) == ["error: x", "  --> stack.yaml:99:1"]


def test_chain_and_cause() -> None:
    error = StackError(
        "file-unreadable", "cannot read", at=Place("a"), cause="Permission denied", stack=[Place("b", 2, 3)]
    )
    assert render(error) == ["error: cannot read", "  --> a", "  via b:2:3", "  cause: Permission denied"]


def test_hint_of_several_lines_brings_its_own_labels() -> None:
    error = EngineError("not-permitted", "needs root", hint="you are: uid 1000\ntry:     sudo stackfile up")
    assert render(error) == ["error: needs root", "  you are: uid 1000", "  try:     sudo stackfile up"]
