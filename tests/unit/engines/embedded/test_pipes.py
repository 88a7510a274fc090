"""Streams of execs: their descriptors are closed whenever the one who closes them is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import os

import pytest

from stackfile.engines.embedded.pipes import ProcessStreams


@pytest.mark.parametrize("steps", range(1, 6))
@pytest.mark.parametrize("ended", [True, False])
def test_a_cancelled_close_closes(steps: int, ended: bool) -> None:
    async def main() -> None:
        reading, writing = os.pipe2(os.O_NONBLOCK)
        end = asyncio.get_running_loop().create_future()
        streams = ProcessStreams(tty=False, outputs={1: reading}, stdin=None, ended=end)
        await asyncio.sleep(0)
        if ended:
            os.close(writing)
            end.set_result(0)
            assert [chunk async for chunk in streams.output()] == []
        closing = asyncio.ensure_future(streams.close())
        for _ in range(steps):
            await asyncio.sleep(0)
        closing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await closing
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(reading)
        if not ended:
            os.close(writing)

    asyncio.run(main())
