"""Streams of execs: their descriptors are closed whenever the one who closes them is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import os

import pytest

from stackfile.engines.embedded.pipes import ProcessStreams


@pytest.mark.parametrize("steps", range(1, 6))
def test_a_cancelled_close_closes(steps: int) -> None:
    async def main() -> None:
        reading, writing = os.pipe2(os.O_NONBLOCK)
        end = asyncio.get_running_loop().create_future()
        streams = ProcessStreams(tty=False, outputs={1: reading}, stdin=None, ended=end)
        await asyncio.sleep(0)
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

    asyncio.run(main())


def test_what_a_process_writes_after_its_client_has_left_is_dropped() -> None:
    """It neither blocks nor gets SIGPIPE, also when one of its streams had ended before."""

    async def main() -> None:
        (out, writing), (err, closed) = os.pipe2(os.O_NONBLOCK), os.pipe2(os.O_NONBLOCK)
        os.close(closed)
        end = asyncio.get_running_loop().create_future()
        streams = ProcessStreams(tty=False, outputs={1: out, 2: err}, stdin=None, ended=end)
        os.write(writing, b"seen")
        async for chunk in streams.output():
            assert chunk.data == b"seen"
            await asyncio.sleep(0)
            break
        await streams.close()
        left = 4 << 20
        async with asyncio.timeout(20):
            while left:
                with contextlib.suppress(BlockingIOError):
                    left -= os.write(writing, bytes(min(left, 65536)))
                await asyncio.sleep(0)
            end.set_result(0)
            while os.path.exists(f"/proc/self/fd/{out}"):
                await asyncio.sleep(0.01)
        os.close(writing)

    asyncio.run(main())
