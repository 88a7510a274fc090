"""Errors for a person, with the line and a caret; and for programs, as JSON."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from stackfile.cli.output.console import Console
from stackfile.errors import ErrorList, Place, StackfileError

Source = Callable[[str], "list[str] | None"]
"""Gives the lines of a file, None where it cannot be read."""


def read_source(path: str) -> list[str] | None:
    """The lines of a file as text, for the excerpt below an error."""
    if not os.path.isfile(path):
        return None
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return None


def flatten(error: StackfileError) -> Iterator[StackfileError]:
    """The errors of a list one by one."""
    if isinstance(error, ErrorList):
        for item in error.errors:
            yield from flatten(item)
    else:
        yield error


def render(error: StackfileError, console: Console, source: Source = read_source) -> str:
    """The text of an error, several ones one after another."""
    return "\n".join("\n".join(_one(item, console, source)) for item in flatten(error))


def to_plain(error: StackfileError) -> dict[str, Any]:
    """The document that --json prints: {"errors": [{code, reason, message, at, cause, hint, exit, stack}, …]}."""
    return {"errors": [_plain(item) for item in flatten(error)]}


def _one(error: StackfileError, console: Console, source: Source) -> Iterator[str]:
    yield console.paint("error:", "red", console.err) + f" {error.message}"
    if error.at is not None:
        yield f"  --> {error.at}"
        yield from _excerpt(error.at, console, source)
    for place in error.stack:
        yield f"  via {place}"
    if error.cause:
        yield from _labelled("cause", error.cause)
    if error.hint:
        yield from _labelled("hint", error.hint)


def _labelled(label: str, text: str) -> Iterator[str]:
    """One line gets its label; several lines bring their own."""
    first, *rest = text.rstrip().splitlines() or [""]
    if label == "hint" and rest:
        yield f"  {first}"
    else:
        yield f"  {label}: {first}"
    for line in rest:
        yield f"  {line}"


def _excerpt(place: Place, console: Console, source: Source) -> Iterator[str]:
    lines = source(place.file) if place.line else None
    if lines is None or place.line > len(lines):
        return
    text = lines[place.line - 1]
    number = str(place.line)
    yield f"   {number} | {text}"
    if place.column:
        # Tabs stay tabs, so that the caret stands below what it points at.
        before = "".join("\t" if letter == "\t" else " " for letter in text[: place.column - 1])
        yield f"   {' ' * len(number)} | {before}{console.paint('^', 'red', console.err)}"


def _plain(error: StackfileError) -> dict[str, Any]:
    return {
        "code": error.code,
        "reason": error.reason,
        "message": error.message,
        "at": _place(error.at),
        "cause": error.cause,
        "hint": error.hint,
        "exit": error.exit_code,
        "stack": [_place(place) for place in error.stack],
    }


def _place(place: Place | None) -> dict[str, Any] | None:
    return {"file": place.file, "line": place.line, "column": place.column} if place else None
