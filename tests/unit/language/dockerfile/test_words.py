"""Variables and quotes (moby `shell_parser` test data, in our words)."""

from __future__ import annotations

import pytest

from stackfile.errors import StackError
from stackfile.language.dockerfile import words

VARIABLES = {"A": "1", "EMPTY": "", "PATH": "/bin"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$A", "1"),
        ("a${A}b", "a1b"),
        ("$A$A", "11"),
        ("$AB", ""),
        ("'$A'", "$A"),
        ('"$A"', "1"),
        ('"a\\"b"', 'a"b'),
        ('"a\\nb"', "a\\nb"),
        ("\\$A", "$A"),
        ('"\\$A"', "$A"),
        ("a\\ b", "a b"),
        ("it\\'s", "it's"),
        ("$", "$"),
        ("$/x", "$/x"),
        ("${A:-x}", "1"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${NONE-x}", "x"),
        ("${NONE:-}", ""),
        ("${A:+x}", "x"),
        ("${EMPTY:+x}", ""),
        ("${EMPTY+x}", "x"),
        ("${NONE:+x}", ""),
        ("${NONE:-$A}", "1"),
        ("${NONE:-${EMPTY:-deep}}", "deep"),
        ("${NONE:-a b}", "a b"),
        ("${A:?needed}", "1"),
        ("/opt:$PATH", "/opt:/bin"),
        ("ä${A}ö", "ä1ö"),
    ],
)
def test_expand(text: str, expected: str) -> None:
    assert words.expand(text, VARIABLES) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("'open", "dockerfile-syntax"),
        ('"open', "dockerfile-syntax"),
        ("${A", "dockerfile-syntax"),
        ("${A:", "dockerfile-syntax"),
        ("${A#1}", "dockerfile-syntax"),
        ("${}", "dockerfile-syntax"),
        ("${NONE:-x", "dockerfile-syntax"),
        ("${NONE:?needed}", "variable-required"),
        ("${EMPTY:?}", "variable-required"),
    ],
)
def test_mistakes(text: str, reason: str) -> None:
    with pytest.raises(StackError) as caught:
        words.expand(text, VARIABLES)
    assert caught.value.reason == reason


def test_another_escape() -> None:
    assert words.expand("C:\\dir`$A", VARIABLES, "`") == "C:\\dir$A"


def test_text_keeps_its_quotes() -> None:
    assert words.expand_text("'$A' \"${A}\" \\$A \\n", VARIABLES) == "'1' \"1\" $A \\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a  b", ["a", "b"]),
        ("a 'b c' d", ["a", "'b c'", "d"]),
        ('A="b c" D=e', ['A="b c"', "D=e"]),
        ("a\\ b c", ["a\\ b", "c"]),
        ('"a \\" b" c', ['"a \\" b"', "c"]),
        ("", []),
    ],
)
def test_split(text: str, expected: list[str]) -> None:
    assert words.split(text) == expected


def test_split_with_an_open_quote() -> None:
    with pytest.raises(StackError):
        words.split("a 'b")
