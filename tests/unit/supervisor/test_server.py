from __future__ import annotations

import os

import pytest

from stackfile.supervisor.server import Held


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


@pytest.fixture
def held() -> Held:
    return Held()


def test_what_is_held_is_closed_when_replaced_or_dropped(held: Held) -> None:
    first, second = os.pipe()
    held.put("k", [first])
    held.put("k", [second])
    assert not is_open(first)
    assert held.get("k") == [second]
    held.drop("k")
    assert not is_open(second)
    assert held.get("k") == []


def test_prefixes_are_whole_parts(held: Held) -> None:
    for key in ("a/b", "a/b/c", "a/bc", "b"):
        held.put(key, [])
    assert held.keys("a/b") == ["a/b", "a/b/c"]
    assert held.keys("a") == ["a/b", "a/b/c", "a/bc"]
    assert held.keys("") == ["a/b", "a/b/c", "a/bc", "b"]
    held.drop("a/b")
    assert held.keys("") == ["a/bc", "b"]
