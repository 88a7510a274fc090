"""The line to the resolver: what becomes of a request that nobody answers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stackfile.errors import ActionError
from stackfile.kernel import seqpacket
from stackfile.network import resolver_client
from stackfile.network.resolver_client import ResolverClient


def test_a_resolver_that_does_not_answer_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver_client, "_ANSWER", 0.1)

    async def main() -> None:
        client = ResolverClient(f"{tmp_path}/socket")
        await client.connect()
        for _ in range(2):
            with pytest.raises(ActionError, match="resolver: forget") as caught:
                await client.forget("c")
            assert caught.value.reason == "timeout"
        await client.close()

    with seqpacket.listen(f"{tmp_path}/socket"):
        asyncio.run(main())
