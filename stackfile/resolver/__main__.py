"""`python -I -m stackfile.resolver [--ready-fd N]`: started by the supervisor, settings by environment."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal

from stackfile import log, settings
from stackfile.paths import RunPaths
from stackfile.resolver.server import Server
from stackfile.supervisor.client import Supervisor


async def serve(ready_fd: int | None) -> None:
    """Serve until SIGTERM. "ok" goes to `ready_fd` once commands are taken."""
    paths = RunPaths(settings.load().run)
    supervisor = Supervisor(paths.supervisor)
    server = Server(supervisor)
    server.recover()
    server.listen(paths.resolver)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if ready_fd is not None:
        os.write(ready_fd, b"ok\n")
        os.close(ready_fd)
    await ended.wait()
    server.close()
    supervisor.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="stackfile.resolver")
    parser.add_argument("--ready-fd", type=int)
    options = parser.parse_args()
    log.setup("resolver", settings.load().log_level)
    asyncio.run(serve(options.ready_fd))


if __name__ == "__main__":
    main()
