"""Waiting for descriptors in the loop, one read or write at a time: back-pressure comes by itself."""

from __future__ import annotations

import asyncio
import errno
import os

CHUNK = 1 << 16


async def readable(descriptor: int) -> None:
    """Until a read would not block."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _set, ready)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


async def writable(descriptor: int) -> None:
    """Until a write would not block."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(descriptor, _set, ready)
    try:
        await ready
    finally:
        loop.remove_writer(descriptor)


def read_now(descriptor: int) -> bytes | None:
    """What there is: b"" at the end, None when nothing has come yet. A terminal's end is EIO."""
    try:
        return os.read(descriptor, CHUNK)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno == errno.EIO:
            return b""
        raise


async def write_all(descriptor: int, data: bytes) -> None:
    """Write everything, waiting while nobody reads. Raises BrokenPipeError when nobody ever will."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            await writable(descriptor)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
