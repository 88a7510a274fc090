"""Streams whose reader goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from stackfile.daemon.routes.docker_streams import send
from stackfile.provider.engine import LogChunk


def test_a_reader_that_leaves_lets_the_source_go_at_once() -> None:
    """At once, and not when the garbage collector finds it: the log of a removed container is kept until then."""
    open_sources = 1

    async def lines() -> AsyncIterator[LogChunk]:
        nonlocal open_sources
        try:
            while True:
                yield LogChunk(1, 0, b"line\n" * 100_000)
                await asyncio.sleep(0)
        finally:
            open_sources -= 1

    async def write(data: bytes) -> None:
        raise ConnectionResetError("the client has gone")

    async def main() -> None:
        source = lines()
        with pytest.raises(ConnectionResetError):
            await send(write, source, False)
        assert open_sources == 0

    asyncio.run(main())
