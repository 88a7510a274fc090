import asyncio

import pytest

from stackfile.daemon.batch import LIMIT, Batch


def test_small_pieces_are_written_together() -> None:
    async def run() -> list[bytes]:
        written: list[bytes] = []

        async def write(data: bytes) -> None:
            written.append(data)

        async with Batch(write) as batch:
            for _ in range(100):
                await batch.add(b"x")
        return written

    assert asyncio.run(run()) == [b"x" * 100]


def test_a_slow_reader_holds_the_producer_and_gets_everything() -> None:
    async def run() -> tuple[int, int]:
        gate = asyncio.Event()
        received = 0
        added = 0

        async def write(data: bytes) -> None:
            nonlocal received
            await gate.wait()
            received += len(data)

        async def produce() -> None:
            nonlocal added
            async with Batch(write) as batch:
                for _ in range(64):
                    await batch.add(b"y" * 65536)
                    added += 65536

        task = asyncio.create_task(produce())
        await asyncio.sleep(0.05)
        held = added
        gate.set()
        await task
        assert received == added
        return held, added

    held, added = asyncio.run(run())
    assert held <= 2 * LIMIT < added


def test_a_reader_that_has_gone_ends_the_producer() -> None:
    async def run() -> None:
        async def write(data: bytes) -> None:
            raise ConnectionResetError("gone")

        async with Batch(write) as batch:
            while True:
                await batch.add(b"z" * 65536)

    with pytest.raises(ConnectionResetError):
        asyncio.run(run())
