"""chown by number and by the image's own names."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackfile.build import owners
from stackfile.errors import ActionError
from stackfile.images.view import MergedView
from tests.unit.images.kit import tree


@pytest.fixture
def image(tmp_path: Path) -> str:
    accounts = "root:x:0:0::/:\nme:x:1000:100:Me:/home/me:/bin/sh\n"
    files: dict[str, str | None] = {"etc/passwd": accounts, "etc/group": "root:x:0:\nus:x:200:me\n"}
    return str(tree(tmp_path / "i", files))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", (0, 0)), ("5", (5, 5)), ("5:6", (5, 6)), ("me", (1000, 100)), ("me:us", (1000, 200)), ("7:us", (7, 200))],
)
def test_names_and_numbers(image: str, text: str, expected: tuple[int, int]) -> None:
    with MergedView([image]) as view:
        assert owners.resolve(text, view) == expected


@pytest.mark.parametrize("text", ["you", "me:them", "5:them", "99999999999"])
def test_unknown(image: str, text: str) -> None:
    with MergedView([image]) as view, pytest.raises(ActionError) as caught:
        owners.resolve(text, view)
    assert caught.value.reason == "build-failed"
