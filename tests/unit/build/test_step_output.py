"""Output of build steps, as lines for a person."""

from __future__ import annotations

from stackfile.build.steps.run import _Lines


def test_a_line_without_an_end_is_given_in_parts() -> None:
    said: list[str] = []
    lines = _Lines(said.append)
    for _ in range(64):
        lines.feed(b"x" * 65536)
    assert sum(map(len, said)) > 63 * 65536
    lines.feed(b"\nlast")
    lines.end()
    assert said[-1] == "last"
    assert "".join(said[:-1]) == "x" * (64 * 65536)
    assert max(map(len, said)) <= 1 << 14
