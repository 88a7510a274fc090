"""`system doctor` where no daemon answers: the same look at the machine, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

from stackfile import settings, wire
from stackfile.api.replies import Finding
from stackfile.errors import ActionError

_TIMEOUT = 60.0


def examine(environ: Mapping[str, str]) -> list[Finding]:
    """What this machine offers to an engine with these settings. ActionError where it cannot be looked at."""
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-m", "stackfile.engines.embedded.checks"],
            env={**environ, **settings.load(environ).environment()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ActionError("timeout", f"looking at this machine took more than {_TIMEOUT:g} s") from error
    if done.returncode:
        cause = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ActionError("action-failed", "this machine cannot be looked at", cause="".join(cause))
    return wire.decode(done.stdout, list[Finding])
