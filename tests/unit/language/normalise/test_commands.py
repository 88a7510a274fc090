"""What a command's text becomes, and what is told of the part that no program sees."""

from __future__ import annotations

import pytest

from stackfile.language import commands
from tests.unit.language.memory import errors_of, load_text


@pytest.mark.parametrize(
    ("text", "words", "rest"),
    [
        ('a \'b c\' "d\\"e" f\\ g', ["a", "b c", 'd"e', "f g"], ""),
        ("a '' b", ["a", "", "b"], ""),
        ("a > b", ["a"], "> b"),
        ("a 2>&1", ["a"], ">&1"),
        ("a;b", ["a"], ";b"),
        ("", [], ""),
    ],
)
def test_split(text: str, words: list[str], rest: str) -> None:
    assert commands.split(text) == (words, rest)


@pytest.mark.parametrize("text", ["a 'b", "a (b)", "a )", "a\\", "a `b", "a $(b (c))"])
def test_what_has_no_end(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        commands.split(text)


def test_what_no_shell_reads_is_named() -> None:
    stack = load_text("services: {a: {image: x, command: 'run && more'}}")
    assert stack.services["a"].command == ("run",)
    (ignored,) = stack.ignored
    assert (ignored.address, ignored.path, ignored.at.column) == ("service.a", "/command", 35)
    assert "`&& more`" in ignored.why
    assert errors_of("services: {a: {image: x, command: 'run (x)'}}") == [("bad-value", "stack.yaml", 1, 35)]
