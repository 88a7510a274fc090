"""The composition root: engine, provider, reconciler and HTTP, put together and taken apart."""

from __future__ import annotations

import asyncio
import grp
import os
import signal
import socket
import stat
from collections.abc import Callable

from stackfile import log
from stackfile.daemon import later
from stackfile.daemon.server import HttpServer, listen
from stackfile.daemon.services import Services
from stackfile.daemon.upgrade import Upgrade
from stackfile.engines.containers import ContainerProvider
from stackfile.engines.embedded.background import spawn
from stackfile.engines.embedded.engine import EmbeddedEngine
from stackfile.errors import StackfileError
from stackfile.paths import RunPaths
from stackfile.reconcile.reconciler import Reconciler
from stackfile.settings import Settings
from stackfile.supervisor.client import Supervisor
from stackfile.supervisor.keeper import Keeper
from stackfile.supervisor.presence import Presence

KIND = "embedded"
_LISTENER = "daemon/http"
"""Key of the listening socket in the supervisor: requests wait in it while a killed daemon is respawned."""
_REVIVAL_PAUSE = 1.0
"""Seconds until it is tried again to have a supervisor."""
_JOBS_PATIENCE = 10.0
"""Seconds that an interrupted job has to finish what is under way."""
_logger = log.get(__name__)


class Daemon:
    """One run of the daemon, from `run` to a signal or to a request to end everything."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._paths = RunPaths(settings.run)
        self._supervisor = Keeper(self._paths.supervisor, settings.environment())
        self._presence = Presence(self._paths.supervisor)
        self._engine = EmbeddedEngine(settings, self._supervisor)
        self._reconciler = Reconciler(ContainerProvider(self._engine))
        self._end = asyncio.Event()
        self._everything = False

    async def run(self, ready: Callable[[], bool]) -> None:
        """Open the engine, serve, and call `ready`. Where that is true: until SIGTERM or SIGINT; containers run on."""
        self._catch_signals()
        self._supervisor.recover()
        self._follow_supervisor()
        await self._engine.open()
        try:
            server = HttpServer(self._services())
            await server.start(self._listener())
            _logger.info("serving at %s", self._paths.socket)
            later.settle()
            if ready():
                loading = spawn(later.load(), "loading the rest")
                await self._end.wait()
                loading.cancel()
            _logger.info("stopping%s", " everything" if self._everything else "")
            await server.close()
            await self._end_jobs()
        finally:
            try:
                await self._engine.close()
            finally:
                self._leave_supervisor()

    async def _end_jobs(self) -> None:
        try:
            async with asyncio.timeout(_JOBS_PATIENCE):
                await self._reconciler.jobs.close()
        except TimeoutError:
            _logger.warning(
                "a job is still under way after %g s; what it left is mended at the next start", _JOBS_PATIENCE
            )

    def _services(self) -> Services:
        return Services(
            settings=self._settings,
            engine=self._engine,
            reconciler=self._reconciler,
            engine_kind=KIND,
            engine_id=self._engine.id,
            stop_everything=self._stop_everything,
            upgrade=Upgrade(self._settings, self._reconciler.jobs, self._supervisor).run,
            processes=lambda: list(self._supervisor.status().values()),
        )

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end.set)

    async def _stop_everything(self) -> None:
        """From a route: the answer is still sent, since closing the server waits for it."""
        self._everything = True
        self._end.set()

    def _listener(self) -> socket.socket:
        """The listening socket of the daemon before this one, or a new one, which the supervisor keeps."""
        held = [socket.socket(fileno=number) for number in self._supervisor.fetch(_LISTENER)]
        if held and _is_socket(self._paths.socket):
            held[0].setblocking(False)
            return held[0]
        for old in held:
            old.close()
        fresh = listen(self._paths.socket, _gid(self._settings.socket_group))
        self._supervisor.hold(_LISTENER, [fresh.fileno()])
        return fresh

    def _follow_supervisor(self) -> None:
        """Notice its end; while there is none, try to have another one."""
        loop = asyncio.get_running_loop()
        if self._presence.find():
            loop.add_reader(self._presence.fileno(), self._revive_supervisor)
        else:
            loop.call_later(_REVIVAL_PAUSE, self._revive_supervisor)

    def _revive_supervisor(self) -> None:
        if self._presence.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._presence.fileno())
            self._presence.close()
        try:
            self._supervisor.revive()
        except StackfileError as error:
            _logger.error("%s", error)
        self._follow_supervisor()

    def _leave_supervisor(self) -> None:
        """Leave it as it is, or have it end everything."""
        if self._presence.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._presence.fileno())
            self._presence.close()
        self._supervisor.let_go()
        if self._everything:
            self._stop_supervisor()

    def _stop_supervisor(self) -> None:
        # Not the one that brings it back.
        supervisor = Supervisor(self._paths.supervisor)
        try:
            supervisor.drop(_LISTENER)
            if os.path.exists(self._paths.socket):
                os.unlink(self._paths.socket)
            supervisor.stop()
        except StackfileError as error:
            _logger.warning("%s", error)
        finally:
            supervisor.close()


def _gid(name: str) -> int:
    """The number of a group; -1 for none, and for one that is not there (any more), which the log tells."""
    if not name:
        return -1
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        _logger.warning("no such group: %s; the socket is for root alone", name)
        return -1


def _is_socket(path: str) -> bool:
    """Whether clients still find a socket at `path`: somebody may have removed it."""
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except FileNotFoundError:
        return False
