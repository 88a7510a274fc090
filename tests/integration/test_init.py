"""What `init` writes comes up at once."""

from __future__ import annotations

import pytest

from tests.conftest import Box

pytestmark = pytest.mark.root


def test_init_then_up(box: Box) -> None:
    box.run("init")
    box.run("up")
    assert [row["state"] for row in box.containers()] == ["running"]
    assert "up to date" in box.run("up").stdout
