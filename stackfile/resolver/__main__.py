"""`python -I -m stackfile.resolver [--ready-fd N]`: started by the supervisor, settings by environment."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Callable

from stackfile import log, settings
from stackfile.paths import RunPaths
from stackfile.resolver.server import Server
from stackfile.supervisor.client import Supervisor
from stackfile.supervisor.presence import LONE, Presence, announce

_PAUSE = 0.1


async def serve(ready_fd: int) -> None:
    """Serve until SIGTERM, also while there is no supervisor for a while. "ok" goes to `ready_fd` when it serves."""
    paths = RunPaths(settings.load().run)
    supervisor = Supervisor(paths.supervisor)
    server = Server(supervisor)
    server.recover()
    server.listen(paths.resolver)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    following = loop.create_task(_follow(Presence(paths.supervisor), server.hand_back, ended))
    if announce(ready_fd):
        await ended.wait()
    following.cancel()
    server.close()
    supervisor.close()


async def _follow(presence: Presence, found: Callable[[], None], ended: asyncio.Event) -> None:
    """Call `found` for each supervisor that comes; set `ended` when there has been none for long."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LONE
    while loop.time() < deadline:
        if not presence.find():
            await asyncio.sleep(_PAUSE)
            continue
        found()
        lost = asyncio.Event()
        descriptor = presence.fileno()
        loop.add_reader(descriptor, lost.set)
        try:
            await lost.wait()
        finally:
            loop.remove_reader(descriptor)
            presence.close()
        deadline = loop.time() + LONE
    ended.set()


def main() -> None:
    parser = argparse.ArgumentParser(prog="stackfile.resolver")
    parser.add_argument("--ready-fd", type=int, default=-1)
    options = parser.parse_args()
    log.setup("resolver", settings.load().log_level)
    asyncio.run(serve(options.ready_fd))


if __name__ == "__main__":
    main()
