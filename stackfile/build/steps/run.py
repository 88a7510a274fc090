"""`run`: a command in the image so far; what it changes becomes a layer."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import deque
from collections.abc import Sequence

from stackfile.build import layer
from stackfile.build.layer import Made
from stackfile.build.state import State, environment
from stackfile.build.steps import mounting
from stackfile.build.steps.base import Inputs, Workshop
from stackfile.errors import ActionError
from stackfile.images import copytree, durable
from stackfile.language.dockerfile import lower
from stackfile.model.stack import Mount, Step
from stackfile.provider.engine import Progress
from stackfile.provider.runner import StepRoot
from stackfile.refusals import exhausted, refusal

_SHELL = ("/bin/sh", "-ec")
_LONGEST_LINE = 1 << 14
"""Bytes of a line that goes on without an end, after which it is given in parts."""
_KEPT_LINES = 20


class RunInstruction:
    kind = "run"
    makes_layer = True

    def text(self, step: Step) -> str:
        in_shell = len(step.argv) == 3 and step.argv[:2] in (_SHELL, lower.SHELL)
        return " ".join((step.argv[2] if in_shell else " ".join(step.argv)).split())

    async def inputs(self, step: Step, state: State, workshop: Workshop) -> Inputs:
        parts = {f"environment {name}": value for name, value in environment(state).items()}
        parts |= {
            "command": "\0".join(_argv(step, state)),
            "user": state.config.user,
            "directory": state.config.working_dir,
        }
        if step.network:
            parts["network"] = step.network
        parts |= {f"text {name}": text for name, text in step.inline.items()}
        parts |= dict(mounting.inputs(step, workshop))
        return Inputs(parts=parts)

    def configure(self, step: Step, state: State) -> State:
        return state

    async def make(self, step: Step, state: State, workshop: Workshop, progress: Progress) -> Made:
        ground = workshop.ground(state)
        if not ground.lower:
            raise ActionError("build-failed", f"run {self.text(step)}: the image is still empty",
                              hint="bring a shell first: `host: {programs: [sh]}`")  # fmt: skip
        root = _root(workshop.images.paths.temporary, ground.lower)
        try:
            mounts = await mounting.mounts(step, os.path.dirname(root.upper), workshop.secrets, workshop)
            stubs = mounting.stubs(ground.lower, [mount.target for mount in mounts])
            async with mounting.exclusive(step, f"run {self.text(step)}", workshop, progress):
                await _run(step, root, mounts, state, workshop, progress)
            mounting.clear(root.upper, stubs)
            return await workshop.pooled(layer.of_upper, ground, root.upper)
        finally:
            shutil.rmtree(os.path.dirname(root.upper), ignore_errors=True)


def _argv(step: Step, state: State) -> tuple[str, ...]:
    """The command; a `shell` step before it replaces the shell of command lines."""
    if state.config.shell and step.argv[:2] == _SHELL:
        return (*state.config.shell, *step.argv[2:])
    return step.argv


def _root(temporary: str, lower: tuple[str, ...]) -> StepRoot:
    base = durable.temporary_directory(temporary, "run-")
    root = StepRoot(lower=lower, upper=f"{base}/upper", work=f"{base}/work")
    os.mkdir(root.upper, 0o755)
    os.mkdir(root.work, 0o700)
    copytree.copy_attributes(lower[0], root.upper)
    return root


async def _run(
    step: Step, root: StepRoot, mounts: Sequence[Mount], state: State, workshop: Workshop, progress: Progress
) -> None:
    argv = _argv(step, state)
    lines = _Lines(progress)
    try:
        code = await workshop.runner.run(
            root, mounts, argv, {**step.mapping, **environment(state)},
            user=state.config.user, working_dir=state.config.working_dir or "/", output=lines.feed,
            network=step.network or "default", extra_hosts=step.extra_hosts,
        )  # fmt: skip
    except asyncio.CancelledError:
        raise
    except OSError as e:
        raise refusal(e) or ActionError("build-failed", f"run {argv[-1]}", cause=str(e)) from e
    lines.end()
    if code != 0:
        message = f"run {argv[-1]}: exit code {code}"
        raise exhausted(root.upper, message) or ActionError(
            "build-failed", message, cause="\n".join(lines.last), details={"exit": code}
        )


class _Lines:
    """Cuts output into lines for a person, and keeps the last ones for an error."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._rest = b""
        self.last: deque[str] = deque(maxlen=_KEPT_LINES)

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._say(line)
        while len(self._rest) > _LONGEST_LINE:
            self._say(self._rest[:_LONGEST_LINE])
            self._rest = self._rest[_LONGEST_LINE:]

    def end(self) -> None:
        if self._rest:
            self._say(self._rest)
            self._rest = b""

    def _say(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip("\r")
        self.last.append(text)
        self._progress(text)


RUN = RunInstruction()
