"""Commands in a container after somebody started it and before somebody stops it."""

from __future__ import annotations

import asyncio

from stackfile import log
from stackfile.engines.embedded.execs import Execs
from stackfile.engines.embedded.registry import Container
from stackfile.errors import ActionError, StackfileError
from stackfile.model.container import ExecSpec
from stackfile.model.stack import Hook

SECONDS = 300.0
"""How long a hook after the start may take."""
_LIMIT = 4096
_LOG = log.get("hooks")


class Hooks:
    """Runs the hooks of containers, one after the other. Restarts by policy run none (as with Compose)."""

    def __init__(self, execs: Execs) -> None:
        self._execs = execs

    async def after_start(self, container: Container) -> None:
        """Raises ActionError (`action-failed`) for the first one that fails; the container runs on."""
        for hook in container.spec.post_start:
            code, output = await self._execs.run(container, _spec(hook), timeout=SECONDS, limit=_LIMIT)
            if code:
                message = f"a post_start hook of {container.name} exited with {code}"
                raise ActionError("action-failed", message, cause=output.strip())

    async def before_stop(self, container: Container, seconds: float) -> None:
        """At most `seconds` (for ever when negative) for all of them. What fails is noted, no more."""
        try:
            async with asyncio.timeout(seconds if seconds >= 0 else None):
                for hook in container.spec.pre_stop:
                    code, output = await self._execs.run(container, _spec(hook), timeout=SECONDS, limit=_LIMIT)
                    if code:
                        _LOG.warning("%s: a pre_stop hook exited with %d: %s", container.name, code, output.strip())
        except (TimeoutError, StackfileError) as error:
            _LOG.warning("%s: a pre_stop hook failed: %s", container.name, error)


def _spec(hook: Hook) -> ExecSpec:
    return ExecSpec(
        argv=hook.command,
        user=hook.user,
        privileged=hook.privileged,
        working_dir=hook.working_dir,
        environment=tuple(f"{name}={value}" for name, value in hook.environment.items()),
    )
