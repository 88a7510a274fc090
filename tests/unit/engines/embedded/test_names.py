"""Ids, names, references."""

from __future__ import annotations

from random import Random

import pytest

from stackfile.engines.embedded.names import check_name, new_id, random_name, resolve
from stackfile.errors import ActionError, NotFoundError

THINGS = {"abc1": "web", "abd2": "db", "f003": "abc"}


def look(ref: str) -> str:
    return resolve("container", ref, THINGS, lambda name: name)


def test_ids_are_64_hex_digits() -> None:
    assert len(new_id()) == 64
    assert new_id() != new_id()


def test_by_id_name_and_unique_prefix() -> None:
    assert look("abc1") == "web"
    assert look("db") == "db"
    assert look("f") == "abc"
    assert look("abc") == "abc", "a name wins over a prefix"


@pytest.mark.parametrize(("ref", "reason"), [("ab", "ambiguous"), ("zz", "not-found"), ("", "not-found")])
def test_unknown_and_ambiguous(ref: str, reason: str) -> None:
    with pytest.raises((ActionError, NotFoundError)) as caught:
        look(ref)
    assert caught.value.reason == reason


def test_random_names_avoid_what_is_taken() -> None:
    first = random_name(set(), Random(1))
    second = random_name({first}, Random(1))
    assert first != second
    check_name("container", first)


@pytest.mark.parametrize("name", ["", "-a", "a/b", "a b", "ä", "x" * 256])
def test_bad_names(name: str) -> None:
    with pytest.raises(ActionError) as caught:
        check_name("volume", name)
    assert caught.value.reason == "bad-request"
