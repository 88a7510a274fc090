"""Wildcards of copy sources."""

from __future__ import annotations

import pytest

from stackfile.model.patterns import has_wildcard, matches, normal


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*.py", "a.py", True),
        ("*.py", "d/a.py", False),
        ("d/?.py", "d/a.py", True),
        ("[ab].py", "a.py", True),
        ("[!ab].py", "a.py", False),
        ("[^ab].py", "c.py", True),
        ("a.py", "aXpy", False),
        (r"\*.py", "*.py", True),
        (r"\*.py", "a.py", False),
        ("[a", "[a", True),
    ],
)
def test_matches(pattern: str, path: str, expected: bool) -> None:
    assert matches(pattern, path) is expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [("./app/", "app"), (".", "."), ("./", "."), ("/app", "app"), ("a/../b", "b"), ("../x", "../x")],
)
def test_normal(source: str, expected: str) -> None:
    assert normal(source) == expected


def test_has_wildcard() -> None:
    assert has_wildcard("a*")
    assert not has_wildcard("a/b.c")
