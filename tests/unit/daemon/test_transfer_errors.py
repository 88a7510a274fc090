"""Streams of progress: what the machine refuses in the middle of one is told by its reason."""

from __future__ import annotations

import asyncio
import errno

import pytest

from stackfile.daemon.transfers import follow
from stackfile.errors import ActionError
from stackfile.model.image import Transfer
from stackfile.provider.engine import Transferred


@pytest.mark.parametrize(
    ("number", "reason"),
    [(errno.ENOSPC, "disk-full"), (errno.EROFS, "read-only"), (errno.EIO, "io-error"), (errno.EMFILE, "limit-reached")],
)
def test_a_refusal_after_the_first_progress(number: int, reason: str) -> None:
    async def work(told: Transferred) -> None:
        told(Transfer(status="Downloading", id="a"))
        raise OSError(number, "refused", "/somewhere/file")

    async def scenario() -> None:
        events = follow(work)
        assert isinstance(await anext(events), Transfer)
        with pytest.raises(ActionError) as caught:
            await anext(events)
        assert (caught.value.reason, caught.value.details["path"]) == (reason, "/somewhere/file")

    asyncio.run(scenario())
