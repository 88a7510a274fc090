"""Commands in containers: what is remembered of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

from stackfile.engines.embedded import execs
from stackfile.engines.embedded.bus import Bus
from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.execs import Execs
from stackfile.engines.embedded.launcher import Launcher
from stackfile.engines.embedded.registry import Container
from stackfile.errors import NotFoundError
from stackfile.model.container import ContainerSpec, ContainerState, ExecSpec
from stackfile.store.state import StateStore


def test_execs_that_nobody_starts_are_forgotten(tmp_path: Path) -> None:
    async def scenario() -> None:
        # Nothing is run: neither the shim nor a launcher is asked.
        made = Execs(cast(Core, None), cast(Launcher, None), Bus(state.events))
        container = Container("c" * 64, ContainerSpec(name="c", image="i"), ContainerState(status="running"), "")
        ids = [made.create(container, ExecSpec(argv=("true",))) for _ in range(execs._REMEMBERED + 10)]
        known = []
        for identity in ids:
            try:
                known.append(made.get(identity).id)
            except NotFoundError:
                continue
        assert known == ids[10:]

    state = StateStore(str(tmp_path / "state.db"), "id")
    asyncio.run(scenario())
    state.close()
