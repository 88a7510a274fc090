"""The comparison itself: it must see what differs."""

from __future__ import annotations

from tests.parity import Rules, mask


def compare(theirs: object, ours: object, types: tuple[str, ...] = (), **different: str) -> list[str]:
    return Rules(types, {key.replace("__", "."): why for key, why in different.items()}).compare("x", theirs, ours)


def test_ids_times_and_paths_are_masked() -> None:
    assert mask("a" * 64) == "<id>"
    assert mask("2026-11-24T04:51:39.1Z") == "<time>"
    assert mask("/var/tmp/sf-1/data/x") == "<path>"
    assert mask("172.17.0.2") == mask("10.1.0.7")
    assert mask("0.0.0.0") == "0.0.0.0"
    assert not compare({"Id": "a" * 64}, {"Id": "b" * 64})


def test_keys_types_and_values_are_compared() -> None:
    assert compare({"a": 1}, {}) == ["x.a: only in Docker: 1"]
    assert compare({}, {"a": 1}) == ["x.a: only in ours: 1"]
    assert compare({"a": None}, {"a": []})
    assert compare({"a": True}, {"a": 1})
    assert compare({"a": 1}, {"a": 2})
    assert compare([1, 2], [1])
    assert not compare([{"Name": "b"}, {"Name": "a"}], [{"Name": "a"}, {"Name": "b"}])


def test_rules_excuse_values_not_types() -> None:
    assert not compare({"a": 1}, {"a": 2}, types=("x.a",))
    assert compare({"a": 1}, {"a": "2"}, types=("x.a",))
    assert not compare({"a": 1}, {"a": "2"}, x__a="why")


def test_differences_that_nothing_needs_are_told() -> None:
    rules = Rules(("x.a", "x.b"), {"x.c": "why"})
    rules.compare("x", {"a": 1}, {"a": 2})
    assert rules.unused() == ["x.c"]
