"""Taking away all of an engine of this machine, in a process of its own: nothing that must run is needed for it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping

from stackfile import settings
from stackfile.errors import ActionError


def wipe(environ: Mapping[str, str]) -> list[str]:
    """Kill what is left of the engine that these settings name and remove all that is its own: what could not be
    removed, and why. Raises ActionError where that cannot even be tried.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-m", "stackfile.engines.embedded.wiping"],
        env={**environ, **settings.load(environ).environment()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd="/",
        check=False,
    )
    if done.returncode:
        cause = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ActionError("action-failed", "the engine cannot be taken away", cause="".join(cause))
    left: list[str] = json.loads(done.stdout)
    return left
