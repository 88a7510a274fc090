"""`.dockerignore` rules."""

from __future__ import annotations

import pytest

from stackfile.model.ignore import Ignore


@pytest.mark.parametrize(
    ("rules", "path", "ignored"),
    [
        ("", "a", False),
        ("a", "a", True),
        ("a", "a/b", True),
        ("a", "b/a", False),
        ("/a/", "a", True),
        ("*.md", "x.md", True),
        ("*.md", "d/x.md", False),
        ("**/*.md", "d/e/x.md", True),
        ("**/*.md", "x.md", True),
        ("a/**/z", "a/b/c/z", True),
        ("a/**", "a/b", True),
        ("?.c", "x.c", True),
        ("?.c", "xy.c", False),
        ("[ab].c", "a.c", True),
        ("*.md\n!keep.md", "keep.md", False),
        ("!keep.md\n*.md", "keep.md", True),
        ("# a\n\n", "# a", False),
        ("*", "anything", True),
        ("a.c", "abc", False),
    ],
)
def test_rules(rules: str, path: str, ignored: bool) -> None:
    assert Ignore(rules).ignored(path) is ignored


def test_ignored_directories_that_may_hold_exceptions() -> None:
    rules = Ignore("node_modules\n!node_modules/mine")
    assert rules.may_return("node_modules")
    assert not rules.may_return("other")
    assert Ignore("x\n!**/keep").may_return("x")
