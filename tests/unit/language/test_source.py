"""Bad YAML, by (reason, file, line, column)."""

from __future__ import annotations

import pytest

from stackfile.errors import ErrorCollector, StackError
from stackfile.language.nodes import Mapping, Scalar, Template
from stackfile.language.source import MAX_BYTES, parse
from tests.unit.language.memory import DEEP, errors_of

BOMB = "a: &a [1,2,3,4,5,6,7,8,9]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
)


def tree(text: str, templates: bool = True) -> Mapping:
    node = parse(text.encode(), "f", ErrorCollector(), templates)
    assert isinstance(node, Mapping)
    return node


def test_keys_and_values_know_their_places() -> None:
    root = tree("a:\n  b: [x, 'y']\n")
    assert (root.keys["a"].place.line, root.keys["a"].place.column) == (1, 1)
    inner = root.entries["a"]
    assert isinstance(inner, Mapping)
    assert (inner.keys["b"].place.line, inner.keys["b"].place.column) == (2, 3)
    assert [(item.place.line, item.place.column) for item in inner.entries["b"].items] == [(2, 7), (2, 10)]  # type: ignore[union-attr]


def test_quoted_scalars_are_text_and_tags_count() -> None:
    root = tree("a: '1'\nb: 1\nc: !!str 1\nd: !!int '5'\ne: !!float 5\n")
    values = [node.value for node in root.entries.values() if isinstance(node, Scalar)]
    assert values == ["1", 1, "1", 5, 5.0]


def test_merge_keys_do_not_override() -> None:
    root = tree("x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz: {<<: [*x, *y], a: 0}\n")
    merged = root.entries["z"]
    assert isinstance(merged, Mapping)
    assert {key: node.value for key, node in merged.entries.items()} == {"a": 0, "b": 2, "c": 4}  # type: ignore[union-attr]


def test_a_quoted_merge_key_is_a_key() -> None:
    assert list(tree("'<<': 1").entries) == ["<<"]


def test_templates_are_found_only_where_they_are_read() -> None:
    text = "a: '{{ b }}'"
    assert isinstance(tree(text).entries["a"], Template)
    assert isinstance(tree(text, templates=False).entries["a"], Scalar)


@pytest.mark.parametrize(
    ("text", "index", "place"),
    [
        ("a: '{{ b }}'", 0, (1, 5)), ('a: "x {{ b }}"', 2, (1, 7)), ("a: |\n  x\n  y {{ b }}\n", 4, (3, 5)),
        ("a: >\n  x\n  y {{ b }}\n", 4, (1, 4)),
    ],
)  # fmt: skip
def test_a_place_inside_a_scalar(text: str, index: int, place: tuple[int, int]) -> None:
    node = tree(text).entries["a"]
    assert isinstance(node, Template)
    found = node.locate(index)
    assert (found.line, found.column) == place


@pytest.mark.parametrize(
    ("text", "reason", "line", "column"),
    [
        ("a: [1, 2", "yaml-syntax", 1, 4),
        ("a: b: c", "yaml-syntax", 1, 5),
        ("a: 1\n---\nb: 1", "yaml-syntax", 2, 1),
        ("a: *x", "yaml-syntax", 1, 4),
        ("a: &a [*a]", "alias-bomb", 1, 8),
        (BOMB, "alias-bomb", 6, 11),
        ("a: " + "[" * 500, "too-deep", 1, 67),
        ("a: " + "[" * 100_000, "too-deep", 1, 3 + DEEP),
        ("? [a]\n: b", "bad-type", 1, 3),
        ("a: !!int x", "bad-value", 1, 4),
        ("<<: 5", "bad-type", 1, 1),
        ("image: {{ values.x }}", "unquoted-template", 1, 8),
        ("image: {{ values.x }}:1", "unquoted-template", 1, 8),
        ("a:\n  - {{ x }}\n", "unquoted-template", 2, 5),
        ("a:\n{% for x in y %}\n  b: 1\n", "unquoted-template", 2, 1),
        ("- a", "not-a-mapping", 1, 1),
        ("hello", "not-a-mapping", 1, 1),
    ],
)
def test_bad_yaml(text: str, reason: str, line: int, column: int) -> None:
    assert errors_of(text) == [(reason, "stack.yaml", line, column)]


def test_the_hint_is_the_quoted_line() -> None:
    with pytest.raises(StackError) as caught:
        parse(b"services:\n  image: {{ x }}  # c\n", "f", ErrorCollector())
    assert 'image: "{{ x }}"' in caught.value.hint


def test_bytes_that_are_no_text() -> None:
    for data, column in ((b"a: b\nc: \xff\n", 4), (b"a: b\nc: d\x01\n", 5)):
        with pytest.raises(StackError) as caught:
            parse(data, "f", ErrorCollector())
        assert caught.value.reason == "yaml-syntax"
        assert caught.value.at is not None
        assert (caught.value.at.line, caught.value.at.column) == (2, column)


def test_huge_files_are_refused_before_they_are_read() -> None:
    with pytest.raises(StackError) as caught:
        parse(b" " * (MAX_BYTES + 1), "f", ErrorCollector())
    assert caught.value.reason == "too-large"


def test_duplicate_keys_are_all_reported() -> None:
    text = """\
        name: x
        services:
          a: {image: x, user: a, user: b}
          a: {image: y}
        name: y
        """
    assert errors_of(text) == [
        ("duplicate-key", "stack.yaml", 3, 26),
        ("duplicate-key", "stack.yaml", 4, 3),
        ("duplicate-key", "stack.yaml", 5, 1),
    ]


def test_two_mistakes_give_two_messages() -> None:
    text = "services:\n  web:\n    image: x\n    comand: y\n    mem_limit: 12q\n"
    assert errors_of(text) == [("unknown-key", "stack.yaml", 4, 5), ("bad-size", "stack.yaml", 5, 16)]
