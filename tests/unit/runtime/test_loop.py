"""Timers of the shim's loop."""

from __future__ import annotations

import time

from stackfile.runtime.loop import Loop


def test_a_timer_rings_once_and_others_may_be_set_meanwhile() -> None:
    loop = Loop()
    rung: list[str] = []

    def again() -> None:
        rung.append("first")
        loop.later(0.01, loop.stop)

    loop.later(0.02, again)
    loop.later(60, lambda: rung.append("never"))
    started = time.monotonic()
    loop.run()
    loop.close()
    assert rung == ["first"]
    assert time.monotonic() - started >= 0.03
