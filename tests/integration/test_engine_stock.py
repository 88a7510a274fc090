"""What is made ahead: containers take it, it is given up when nothing runs, and a killed process leaves none of it."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from stackfile.engines.embedded.engine import EmbeddedEngine
from stackfile.model.container import NetworkRecord
from stackfile.model.stack import Attachment
from stackfile.settings import Settings
from tests.integration.engines import busybox, engine, spec
from tests.integration.test_engine_containers import exec_output, started

pytestmark = pytest.mark.root


def links(settings: Settings) -> int:
    """Pairs of this engine."""
    return sum(name.startswith(f"{settings.bridge_prefix}v") for name in os.listdir("/sys/class/net"))


def spares(settings: Settings) -> list[Path]:
    return list(Path("/sys/fs/cgroup").glob(f"*/{settings.cgroup_parent}/spare-*"))


async def until(check: object, seconds: float = 8) -> None:
    assert callable(check)
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def fill_and_empty(made: EmbeddedEngine) -> None:
    first = await started(made, spec("sleep", "60"))
    await until(lambda: links(made.settings) > 2)
    second = await started(made, spec("sleep", "60"))
    for identity in (first, second):
        code, output = await exec_output(made, identity, "ip", "-o", "addr", "show", "eth0")
        assert code == 0
        assert b"inet 10." in output
    await made.settle()
    await until(lambda: links(made.settings) == 2)
    assert not spares(made.settings)
    third = await started(made, spec("sleep", "60"))
    await until(lambda: links(made.settings) > 3)
    for identity in (first, second, third):
        await made.container_remove(identity, force=True)
    # Nothing runs any more: it goes by itself.
    await until(lambda: links(made.settings) == 0 and not spares(made.settings))


async def late_network(made: EmbeddedEngine) -> None:
    """A container without a network gets one, and with it a resolver."""
    await made.network_create(NetworkRecord(id="", name="late"))
    identity = await started(made, spec("sleep", "60", name="alone", network_mode="none"))
    await made.network_connect("late", identity, Attachment(network="late"))
    code, output = await exec_output(made, identity, "nslookup", "alone")
    assert code == 0, output
    await made.container_remove(identity, force=True)
    await made.network_remove("late")


def test_the_stock() -> None:
    async def scenario() -> None:
        async with engine() as made:
            await busybox(made)
            await fill_and_empty(made)
            await late_network(made)

    asyncio.run(scenario())
