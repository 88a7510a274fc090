"""Images are built after what they need."""

from __future__ import annotations

import pytest

from stackfile.build.order import build_order
from stackfile.errors import StackError
from stackfile.model.stack import Step
from tests.unit.build.kit import image


def test_bases_first() -> None:
    images = {
        "top": image("top", Step(kind="copy", source=("/x",), target="/", from_image="tool"), base="base"),
        "base": image("base"),
        "tool": image("tool", base="base"),
        "alone": image("alone"),
    }
    assert build_order(images) == ["base", "tool", "top", "alone"]
    assert build_order(images, "tool") == ["base", "tool"]


def test_circle() -> None:
    with pytest.raises(StackError) as caught:
        build_order({"a": image("a", base="b"), "b": image("b", base="a")})
    assert caught.value.reason == "image-cycle"


def test_unknown_base() -> None:
    with pytest.raises(StackError) as caught:
        build_order({"a": image("a", base="nowhere")})
    assert caught.value.reason == "unknown-reference"
