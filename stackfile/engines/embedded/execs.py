"""Commands in running containers: exec for users, probes for health checks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from stackfile import log
from stackfile.engines.embedded import names
from stackfile.engines.embedded.bus import Bus
from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.labelled import attributes
from stackfile.engines.embedded.launcher import Launcher
from stackfile.engines.embedded.pipes import ProcessStreams
from stackfile.engines.embedded.registry import Container
from stackfile.engines.embedded.terminal import resize
from stackfile.errors import ActionError, ConflictError, StackfileError
from stackfile.model.container import ExecRecord, ExecSpec
from stackfile.provider.engine import STDERR, STDOUT, LogChunk
from stackfile.runtime.compile import compile_exec
from stackfile.runtime.shim_client import Exit, Running

UNKNOWN = 255
"""Exit code of an end that nobody saw: a failure for policies; with a container `exit_known` says that it is not the
program's."""
_LOG = log.get("execs")
_REMEMBERED = 500
"""Execs that do not run, ended or never started, and can still be inspected."""
_KILL_PATIENCE = 5.0
_SIGKILL = 9


@dataclass(slots=True)
class _Exec:
    id: str
    container: Container
    spec: ExecSpec
    ended: asyncio.Future[int]
    running: bool = False
    started: bool = False
    exit_code: int | None = None
    pid: int = 0
    probe: bool = False
    """One of ours: no record and no events of it."""
    master: int | None = field(default=None)
    """Terminal of a detached exec, which we must read so that it never blocks."""


class Execs:
    """All execs that this process started."""

    def __init__(self, core: Core, launcher: Launcher, bus: Bus) -> None:
        self._core = core
        self._launcher = launcher
        self._bus = bus
        self._execs: dict[str, _Exec] = {}
        self._adopted: dict[str, tuple[str, asyncio.Future[int]]] = {}
        """Execs of an earlier daemon with a terminal: container, end. Nothing else is known of them."""

    def create(self, container: Container, spec: ExecSpec) -> str:
        """Raises ConflictError (`not-running`), ActionError (`bad-request`) without a command."""
        _require_running(container)
        if not spec.argv:
            raise ActionError("bad-request", "no exec command specified")
        item = self._new(container, spec)
        self._forget_old()
        self._publish(item, f"exec_create: {' '.join(spec.argv)}")
        return item.id

    async def start(self, identity: str, detach: bool) -> ProcessStreams | None:
        """Run it; None when detached. Errors as ShimClient.exec; ConflictError when it was started before."""
        item = self._find(identity)
        if item.started:
            raise ConflictError("conflict", f"exec {identity[:12]} was started already")
        _require_running(item.container)
        streams = await self._run(item, detach)
        self._publish(item, f"exec_start: {' '.join(item.spec.argv)}")
        return streams

    def get(self, identity: str) -> ExecRecord:
        """Raises NotFoundError."""
        item = self._find(identity)
        return ExecRecord(
            id=item.id,
            container=item.container.id,
            spec=item.spec,
            running=item.running,
            exit_code=item.exit_code,
            pid=item.pid,
        )

    async def resize(self, identity: str, rows: int, columns: int) -> None:
        """Raises NotFoundError, ConflictError (`not-running`)."""
        item = self._find(identity)
        if not item.running or not item.spec.tty:
            raise ConflictError("not-running", f"exec {identity[:12]} has no terminal now")
        master = await self._core.shim.tty(item.container.id, item.id)
        try:
            resize(master, rows, columns)
        finally:
            os.close(master)

    async def capture(
        self, container: Container, argv: Sequence[str], *, timeout: float, limit: int
    ) -> tuple[int, str]:
        """`run` of a plain command."""
        return await self.run(container, ExecSpec(argv=tuple(argv)), timeout=timeout, limit=limit)

    async def run(self, container: Container, spec: ExecSpec, *, timeout: float, limit: int) -> tuple[int, str]:
        """Run a command to its end, without events: (exit code, at most `limit` bytes of its output).

        A command that takes longer than `timeout` seconds is killed; its code is -1 and the output says so.
        """
        item = self._new(container, spec)
        item.probe = True
        try:
            streams = await self._run(item, False)
            assert streams is not None
            kept = bytearray()
            try:
                async with asyncio.timeout(timeout):
                    await _collect(streams, kept, limit)
                    code = await asyncio.shield(item.ended)
            except TimeoutError:
                await self._kill(item)
                return -1, f"Health check exceeded timeout ({timeout:g}s)"
            finally:
                await streams.close()
            return code, kept.decode(errors="replace")
        finally:
            try:
                if item.running:
                    await self._kill(item)
            finally:
                self._execs.pop(item.id, None)

    async def adopt(self, running: Running) -> None:
        """An exec that has outlived its daemon: with nobody to read its terminal it would soon stand still."""
        try:
            master = await self._core.shim.tty(running.container, running.exec_id)
        except StackfileError:
            return  # it has none, or has ended
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._adopted[running.exec_id] = running.container, ended
        await ProcessStreams(tty=True, outputs={STDOUT: master}, stdin=None, ended=ended).close()

    def exited(self, end: Exit) -> None:
        """The shim reports the end of an exec."""
        _, adopted = self._adopted.pop(end.exec_id, (None, None))
        if adopted is not None:
            adopted.set_result(end.status)
        item = self._execs.get(end.exec_id)
        if item is None or not item.running:
            return
        code = end.status if end.known else UNKNOWN
        item.running = False
        item.exit_code = code
        if not end.known:
            _LOG.warning("exec %s in %s: %s", item.id[:12], item.container.name, end.reason)
        if not item.ended.done():
            item.ended.set_result(code)
        if not item.probe:
            self._publish(item, "exec_die", exitCode=str(code))

    def forget(self, container: Container) -> None:
        """The container is gone, and its execs with it."""
        for item in [item for item in self._execs.values() if item.container is container]:
            del self._execs[item.id]
            if not item.ended.done():
                item.running = False
                item.ended.set_result(128 + _SIGKILL)
        for identity, (owner, ended) in list(self._adopted.items()):
            if owner == container.id:
                del self._adopted[identity]
                ended.set_result(128 + _SIGKILL)

    # ---- inside

    def _new(self, container: Container, spec: ExecSpec) -> _Exec:
        item = _Exec(names.new_id(), container, spec, asyncio.get_running_loop().create_future())
        self._execs[item.id] = item
        return item

    def _find(self, identity: str) -> _Exec:
        return names.resolve("exec", identity, self._execs, lambda item: item.id)

    async def _run(self, item: _Exec, detach: bool) -> ProcessStreams | None:
        container, spec = item.container, item.spec
        base = self._launcher.instructions(container)
        account = self._launcher.account(container, None, spec.user) if spec.user else base.process.account
        instructions = compile_exec(base, spec, account, exec_id=item.id, machine=self._launcher.machine)
        item.started = item.running = True
        stdio = _Stdio(spec, detach)
        try:
            running = await self._core.shim.exec(instructions, stdio.theirs)
        except BaseException as error:
            item.running = False
            item.exit_code = _failure_code(error)
            stdio.close()
            raise
        item.pid = running.pid
        stdio.close_theirs()
        if not spec.tty:
            return stdio.streams(item.ended)
        master = running.terminal
        streams = ProcessStreams(
            tty=True, outputs={STDOUT: master}, stdin=master if spec.stdin else None, ended=item.ended
        )
        if not detach:
            return streams
        await streams.close()
        return None

    async def _kill(self, item: _Exec) -> None:
        try:
            await self._core.shim.signal(item.container.id, _SIGKILL, item.id)
            await asyncio.wait({item.ended}, timeout=_KILL_PATIENCE)
        except StackfileError:
            pass  # it has ended, or the container has

    def _publish(self, item: _Exec, action: str, **more: str) -> None:
        self._bus.publish("container", action, item.container.id, attributes(item.container, execID=item.id, **more))

    def _forget_old(self) -> None:
        resting = [item.id for item in self._execs.values() if not item.running]
        for identity in resting[:-_REMEMBERED]:
            del self._execs[identity]


class _Stdio:
    """The descriptors of an exec without a terminal: the process's ends and ours."""

    def __init__(self, spec: ExecSpec, detach: bool) -> None:
        self.theirs: list[int] = []
        self._outputs: dict[int, int] = {}
        self._stdin: int | None = None
        if spec.tty:
            return
        attached = not detach
        if spec.stdin and attached:
            reading, self._stdin = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(self._stdin, False)
        else:
            reading = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self.theirs.append(reading)
        for stream, wanted in ((STDOUT, spec.stdout), (STDERR, spec.stderr)):
            self.theirs.append(self._output(stream) if wanted and attached else _null())

    def _output(self, stream: int) -> int:
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(ours, False)
        self._outputs[stream] = ours
        return theirs

    def streams(self, ended: asyncio.Future[int]) -> ProcessStreams | None:
        """Our ends; None when the exec is detached."""
        if not self._outputs and self._stdin is None:
            return None
        return ProcessStreams(tty=False, outputs=self._outputs, stdin=self._stdin, ended=ended)

    def close_theirs(self) -> None:
        for descriptor in self.theirs:
            os.close(descriptor)
        self.theirs = []

    def close(self) -> None:
        self.close_theirs()
        for descriptor in (*self._outputs.values(), *([] if self._stdin is None else [self._stdin])):
            os.close(descriptor)


def _null() -> int:
    return os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)


def _require_running(container: Container) -> None:
    if container.state.status == "paused":
        raise ConflictError("conflict", f"container {container.name} is paused", hint="unpause it first")
    if container.state.status != "running":
        raise ConflictError("not-running", f"container {container.name} is not running")


def _failure_code(error: BaseException) -> int:
    reason = error.reason if isinstance(error, StackfileError) else ""
    return {"command-not-found": 127, "command-not-executable": 126}.get(reason, 128)


async def _collect(streams: ProcessStreams, kept: bytearray, limit: int) -> None:
    async for chunk in streams.output():
        kept += _fitting(chunk, limit - len(kept))


def _fitting(chunk: LogChunk, room: int) -> bytes:
    return chunk.data[: max(room, 0)]
