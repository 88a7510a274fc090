"""The canonical layout: what it changes, what it keeps, and that nothing is lost whatever a file looks like."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackfile.errors import ActionError, ErrorList, StackError
from stackfile.language import formatting
from stackfile.language.formatting import formatted
from tests.unit.language.untidy import Untidy

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").rglob("*.yaml"))
CORPUS = sorted((ROOT / "tests/compose/cases").rglob("*.y*ml"))

LAYOUTS = {
    "indentation": ("a:\n    b:\n         c: 1\n         d: 2\n", "a:\n  b:\n    c: 1\n    d: 2\n"),
    "lists": ("a:\n- x\n-   b: 1\n    c: 2\nd: 3\n", "a:\n  - x\n  - b: 1\n    c: 2\nd: 3\n"),
    "lists in lists": ("a:\n  -   - x\n      - y\n", "a:\n  - - x\n    - y\n"),
    "blanks": ('a  :   1  \n"b" :\t2\n', 'a: 1\n"b": 2\n'),
    "flow": ("a: [ b,c ,{d:   e ,f: } ]\n", "a: [b, c, {d: e, f: }]\n"),
    "json": ('{"a":1,"b":[1,2]}\n', '{"a": 1, "b": [1, 2]}\n'),
    "flow over lines": ("a: {\n      b: [\n  c],\n    d: e\n  }\n", "a: {\n  b: [\n    c],\n  d: e\n}\n"),
    "aligned flow": ("a:   [b,\n    c\n  ]\n", "a: [b,\n    c\n   ]\n"),
    "tags before brackets": ("a: [!x  ,!reset ]\n", "a: [!x , !reset ]\n"),
    "empty lines": ("\n\na: 1\n\n \n\nb: 2\n\n\n", "a: 1\n\nb: 2\n"),
    "end of file": ("a: 1", "a: 1\n"),
    "literal": ("a:\n      b: |\n         x\n           y \n\n\n         z\nc: 1\n",
                "a:\n  b: |\n    x\n      y \n\n\n    z\nc: 1\n"),
    "literal with a column": ("a:\n    b: |2-\n         x\n      y\n", "a:\n  b: |2-\n       x\n    y\n"),
    "kept empty lines": ("a: |+\n      x\n\n\nb: 1\n", "a: |+\n  x\n\n\nb: 1\n"),
    "literal without an end": ("a: |\n    x", "a: |\n  x"),
    "quoted over lines": ('a:\n    b: "x \\\n        y \\ \n\n      z"\n', 'a:\n  b: "x \\\n      y \\ \n\n    z"\n'),
    "anchors": ("a:   &x   !t\n    b: 1\n*y : 1\n".replace("*y : 1\n", ""), "a: &x !t\n  b: 1\n"),
    "alias as a key": ("a: &x y\n*x :  1\n", "a: &x y\n*x : 1\n"),
    "merge keys": ("x: &x {a: 1}\ny:\n    <<  : *x\n", "x: &x {a: 1}\ny:\n  <<: *x\n"),
    "question marks": ("?   a\n:    b\n", "? a\n: b\n"),
    "documents": ("%YAML 1.1\n---   \na:   1\n---\nb:   1\n...\n", "%YAML 1.1\n---\na: 1\n---\nb: 1\n...\n"),
    "comments": ("a:   # one\n     # two\n     b: 1\n     # three\n# four\nc: 1   #five\n",
                 "a:   # one\n  # two\n  b: 1\n  # three\n# four\nc: 1   #five\n"),
    "comments in a column": ("a:    1  # x\nbbb:  2  # y\n", "a: 1    # x\nbbb: 2  # y\n"),
    "list items as comments": ("a:\n- x\n# - y\nb: 1\n", "a:\n  - x\n  # - y\nb: 1\n"),
    "comments in flow": ("a: [\n # x\n    b  # y\n ]\n", "a: [\n  # x\n  b  # y\n]\n"),
    "line ends": ("a:   1\r\nb: |\r\n    x\r\n", "a: 1\r\nb: |\r\n  x\r\n"),
    "byte order mark": ("\ufeffa:   1\n", "\ufeffa: 1\n"),
    "nothing": ("", ""),
    "comments alone": ("\n   # x\n\n\n# y", "# x\n\n# y\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout(name: str) -> None:
    before, after = LAYOUTS[name]
    assert formatted(before.encode(), "f").decode() == after
    assert formatted(after.encode(), "f").decode() == after


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_examples_are_formatted(path: Path) -> None:
    assert formatted(path.read_bytes(), path.name) == path.read_bytes()


def comments_of(data: bytes) -> list[bytes]:
    """Lines that are nothing but a comment."""
    return [line.strip() for line in data.splitlines() if line.lstrip().startswith(b"#")]


def test_the_corpus_keeps_its_meaning_and_its_comments() -> None:
    """`formatted` compares trees and comments itself; here the comments are counted in a way of their own."""
    refused = 0
    for path in CORPUS:
        data = path.read_bytes()
        try:
            result = formatted(data, path.name)
        except (StackError, ErrorList):
            refused += 1  # cases of files that are no YAML
            continue
        assert comments_of(result) == comments_of(data), path
        assert formatted(result, path.name) == result, path
    assert refused * 20 < len(CORPUS)


def test_untidy_files() -> None:
    refused = 0
    for seed in range(250):
        data = Untidy(seed).text().encode()
        try:
            result = formatted(data, str(seed))
        except StackError:
            refused += 1  # blanks may make it no YAML
            continue
        assert formatted(result, str(seed)) == result, seed
    assert refused < 60


def test_what_is_no_yaml_is_told_with_its_place() -> None:
    with pytest.raises(StackError) as caught:
        formatted(b"a: 1\nb: ]\n", "f")
    assert (caught.value.reason, str(caught.value.at)) == ("yaml-syntax", "f:2:4")
    with pytest.raises(StackError) as caught:
        formatted(b"a: 1\na: 2\n", "f")
    assert caught.value.reason == "duplicate-key"
    with pytest.raises(StackError) as caught:
        formatted(b"a: {{ values.x }}\n", "f")
    assert caught.value.reason == "unquoted-template"


@pytest.mark.parametrize(
    "wrong", ["a: 2 # c\n", "a: 1\n", "a: 1 # d\n", "a: '1' # c\n", "b: 1 # c\n", "a: [1] # c\n", "a"]
)
def test_a_layout_that_changes_something_is_refused(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formatting, "laid_out", lambda text, end: wrong)
    with pytest.raises(ActionError) as caught:
        formatted(b"a: 1   # c\n", "f")
    assert caught.value.reason == "internal"
