"""`python -I -m stackfile.daemon --ready-fd N`: the daemon of the engine that the STACKFILE_* variables describe.

Writes `ok` or `error: …` to the descriptor. Everything is imported before that: after an upgrade on disk a late import
would load another version's code.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable

from stackfile import log, settings
from stackfile.daemon import routes
from stackfile.daemon.composition import Daemon
from stackfile.errors import StackfileError
from stackfile.refusals import understood
from stackfile.supervisor.presence import announce

_NOISY = ("pyroute2", "asyncio")
"""Loggers that write kilobytes for each message at level debug."""


def main(arguments: list[str]) -> int:
    """Run until told to end; the process's exit code."""
    parser = argparse.ArgumentParser(prog="stackfile.daemon")
    parser.add_argument("--ready-fd", type=int, default=-1, help="descriptor that readiness is written to")
    ready_fd = parser.parse_args(arguments).ready_fd

    def tell(text: str) -> bool:
        nonlocal ready_fd
        descriptor, ready_fd = ready_fd, -1
        return announce(descriptor, text)

    try:
        chosen = settings.load()
        log.setup("daemon", chosen.log_level)
        for noisy in _NOISY:
            log.get(noisy).setLevel("WARNING")
        routes.find()
        asyncio.run(_serve(chosen, lambda: tell("ok")))
    except StackfileError as error:
        log.get(__name__).error("%s", error, exc_info=error)
        tell(f"error: {error}".replace("\n", "; "))
        return error.exit_code
    except Exception as error:
        known = understood(error)
        internal = known.reason == "internal"
        log.get(__name__).critical("the daemon ends: %s", known, exc_info=error if internal else None)
        said = f"{type(error).__name__}: {error}" if internal else f"{known} ({known.hint})"
        tell(f"error: {said}".replace("\n", "; "))
        return 1
    return 0


async def _serve(chosen: settings.Settings, ready: Callable[[], bool]) -> None:
    await Daemon(chosen).run(ready)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
