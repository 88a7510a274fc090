"""Our rules in the tables of other firewalls come back when those are loaded anew."""

from __future__ import annotations

import asyncio

from stackfile import log
from stackfile.engines.embedded.background import spawn
from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.mending import Mender
from stackfile.engines.embedded.networks import Networks
from stackfile.errors import KernelError, StackfileError
from stackfile.network.watch import Disturbance, RuleWatch

_LOG = log.get("watching")
_QUIET = 0.2
"""Seconds that others have for more changes before we look."""
_PERIOD = 10.0
"""Seconds between looks at rules of which the kernel does not tell when they change."""


class FirewallWatch:
    """Looks whenever others change their rules; mends what hinders our networks then."""

    def __init__(self, core: Core, networks: Networks, mender: Mender) -> None:
        self._core = core
        self._networks = networks
        self._mender = mender
        self._watch: RuleWatch | None = None
        self._worst = Disturbance.NONE
        self._look: asyncio.TimerHandle | None = None
        self._period: asyncio.TimerHandle | None = None
        self._busy: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin. Where the kernel tells nothing, only `up` mends."""
        try:
            self._watch = self._core.network.watch()
        except KernelError as error:
            _LOG.warning("changes of other firewalls go unnoticed: %s", error)
        else:
            asyncio.get_running_loop().add_reader(self._watch.fileno(), self._readable)
        self._again()

    async def close(self) -> None:
        """End; what is being mended is finished."""
        for timer in (self._look, self._period):
            if timer is not None:
                timer.cancel()
        if self._watch is not None:
            asyncio.get_running_loop().remove_reader(self._watch.fileno())
            self._watch.close()
            self._watch = None
        if self._busy is not None:
            await self._busy

    def _readable(self) -> None:
        assert self._watch is not None
        found = self._watch.read()
        self._worst = max(self._worst, found)
        if found != Disturbance.NONE and self._look is None:
            self._look = asyncio.get_running_loop().call_later(_QUIET, self._start)

    def _again(self) -> None:
        self._period = asyncio.get_running_loop().call_later(_PERIOD, self._tick)

    def _tick(self) -> None:
        if self._look is None and self._networks.list() and self._core.network.polled():
            self._start()
        self._again()

    def _start(self) -> None:
        self._look = None
        if self._busy is not None and not self._busy.done():
            self._look = asyncio.get_running_loop().call_later(_QUIET, self._start)
            return
        self._busy = spawn(self._mend(), "rules beside other firewalls")

    async def _mend(self) -> None:
        swept, self._worst = self._worst == Disturbance.SWEPT, Disturbance.NONE
        hindered = self._networks.list()
        if not swept:
            hindered = await asyncio.to_thread(self._core.network.hindered, hindered)
        for record in hindered:
            if self._networks.get(record.id) is None:
                continue
            _LOG.info("network %s: rules of ours went with those of another firewall", record.name)
            try:
                await self._mender.network(record.id)
            except StackfileError as error:
                _LOG.warning("network %s: %s", record.name, error)
