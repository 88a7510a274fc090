"""The shim's containers: starting, executing, ending, taking over from a shim that died."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from stackfile.errors import ConflictError, EngineError, KernelError, NotFoundError, StackfileError
from stackfile.kernel import process
from stackfile.runtime import launch, oom, records, stdio
from stackfile.runtime.instructions import ExecInstructions, Instructions
from stackfile.runtime.launch import Forked
from stackfile.runtime.logfile import LogWriter
from stackfile.runtime.loop import Loop
from stackfile.runtime.records import ContainerRow, ExecRow, ExitRow, Found
from stackfile.supervisor.client import Supervisor

Done = Callable[["Child | StackfileError"], None]
"""Told once about a start: the process, or why there is none."""

_ORPHAN_PATIENCE = 3.0
"""Seconds to wait for the supervisor to have reaped a process that was not our child."""


@dataclass
class Child:
    """A process of ours: main (`exec_id` "") or exec."""

    container: Container
    exec_id: str
    pid: int
    pidfd: int
    start_time: int
    forked: Forked | None = None
    """While it sets itself up."""
    done: Done | None = None
    master: int = -1
    """Terminal of an exec."""
    ended: ExitRow | None = None
    acknowledged: bool = False
    """Somebody has recorded its end."""
    failure: StackfileError | None = None
    """Why its start failed; told once it is reaped, so that nothing of it is left when the caller hears of it."""


@dataclass
class Container:
    row: ContainerRow
    streams: stdio.Streams
    memory: oom.Watch
    children: dict[str, Child] = field(default_factory=dict)

    @property
    def main(self) -> Child:
        return self.children[""]


class Containers:
    """All of them. `report` sends an end to whoever listens, `killed` how many died for lack of memory so far."""

    def __init__(
        self,
        loop: Loop,
        supervisor: Supervisor,
        run_root: str,
        report: Callable[[ExitRow], None],
        killed: Callable[[str, int], None],
    ) -> None:
        self._loop = loop
        self._supervisor = supervisor
        self._root = f"{run_root}/containers"
        self._report = report
        self._killed = killed
        self._all: dict[str, Container] = {}
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)

    # ---- start and exec

    def start(self, given: Instructions, netns: int, done: Done) -> None:
        """Start a container; `done` is called when it executes its program or has failed to."""
        present = self._all.get(given.container)
        if present is not None and present.main.ended is None:
            raise ConflictError("already-running", f"container {given.container[:12]} is running")
        if present is not None:
            self.release(given.container)
        os.makedirs(given.run_dir, mode=0o700, exist_ok=True)
        key, account = given.container, given.process.account
        readers: list[int] = []
        ends: list[int] = []
        streams = stdio.Streams(given.run_dir)
        child_input = self._null
        try:
            if not given.process.tty:
                readers, ends = stdio.make_outputs(given.run_dir, account)
                self._hold(f"stdio/{key}", readers)
                if given.stdin_open:
                    streams.stdin, child_input = stdio.make_input(given.run_dir, account)
                    self._hold(f"stdin/{key}", [streams.stdin])
            beside = [self._live(each).main.pidfd if each else -1 for each in (given.join_pid, given.join_ipc)]
            forked = launch.fork_container(given, (child_input, *ends) if ends else (), netns, *beside)
            row = ContainerRow.of(given, forked.pid, forked.start_time)
            forked.record(lambda: records.write_container(row))
        except BaseException:
            for fd in readers:
                os.close(fd)
            streams.close()
            self._drop(key)
            raise
        finally:
            for fd in (*ends, child_input if child_input != self._null else -1):
                if fd >= 0:
                    os.close(fd)
        container = self._container(row, streams)
        self._all[key] = container
        if readers:
            streams.pumps += stdio.pump_outputs(self._loop, readers, given.logs)
        self._follow(container, "", forked, done, given.process.tty)

    def _container(self, row: ContainerRow, streams: stdio.Streams) -> Container:
        return Container(row, streams, oom.Watch(self._loop, row.cgroup, partial(self._killed, row.container)))

    def exec(self, given: ExecInstructions, fds: Sequence[int], done: Done) -> None:
        """Run one more program. ConflictError (`not-running`)."""
        container = self._live(given.container)
        if given.exec_id in container.children:
            raise ConflictError("already-running", f"exec {given.exec_id[:12]} was started already")
        stdio.give(fds, given.process.account)
        forked = launch.fork_exec(given, tuple(fds), container.main.pidfd)
        row = ExecRow(exec_id=given.exec_id, pid=forked.pid, start_time=forked.start_time, tty=given.process.tty)
        forked.record(lambda: records.write_exec(container.row.run_dir, row))
        self._follow(container, given.exec_id, forked, done, given.process.tty)

    def _follow(self, container: Container, exec_id: str, forked: Forked, done: Done, tty: bool) -> None:
        child = Child(container, exec_id, forked.pid, forked.pidfd, forked.start_time, forked, done)
        container.children[exec_id] = child
        self._loop.add(forked.channel.fileno(), lambda _: self._progress(child))
        self._loop.add(forked.pidfd, lambda _: self._exited(child))
        if not tty:
            forked.go()

    def _progress(self, child: Child) -> None:
        """A message of a child that sets itself up, or the end of the channel."""
        while child.forked is not None:
            try:
                message, fds = child.forked.receive()
            except BlockingIOError:
                return
            if message is None:
                self._started(child)
            elif "pty" in message:
                self._terminal(child, fds[0])
                child.forked.go()
            else:
                child.failure = launch.failure(message["error"])
                self._close_channel(child)

    def _started(self, child: Child) -> None:
        self._close_channel(child)
        self._answer(child, child)
        if not child.exec_id:
            child.container.memory.begin()

    def _close_channel(self, child: Child) -> None:
        assert child.forked is not None
        self._loop.remove(child.forked.channel.fileno())
        child.forked.channel.close()
        child.forked = None

    @staticmethod
    def _answer(child: Child, result: Child | StackfileError) -> None:
        assert child.done is not None
        done, child.done = child.done, None
        done(result)

    def _terminal(self, child: Child, master: int) -> None:
        container = child.container
        key = container.row.container
        if child.exec_id:
            os.set_blocking(master, False)
            child.master = master
            self._hold(f"tty/{key}/{child.exec_id}", [master])
            return
        pipe = stdio.make_pipe()
        self._hold(f"tty/{key}", [master])
        self._hold(f"stdio/{key}", list(pipe))
        self._pump_terminal(container, master, pipe)

    def _pump_terminal(self, container: Container, master: int, pipe: tuple[int, int]) -> None:
        container.streams.master = master
        writer = LogWriter(container.row.logs, 1)
        container.streams.pumps.append(stdio.TerminalPump(self._loop, master, pipe, writer))

    # ---- ends

    def _exited(self, child: Child) -> None:
        if child.forked is not None:
            self._progress(child)  # its last words come before its end
        try:
            result = os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return self._orphaned(child)
        if result is None:
            return None
        signalled = result.si_code != os.CLD_EXITED
        self._end(child, 128 + result.si_status if signalled else result.si_status)
        return None

    def _orphaned(self, child: Child) -> None:
        """A process of our predecessor ended: its last parent, the supervisor, knows how; else the kernel may."""
        self._loop.remove(child.pidfd)
        deadline = time.monotonic() + _ORPHAN_PATIENCE

        def look() -> bool:
            if self._recorded_end(child):
                return False
            status = process.exit_status(child.pidfd) if child.pidfd >= 0 else None
            if status is not None:
                self._end(child, _docker_code(status))
                return False
            if time.monotonic() < deadline:
                return True
            self._end(child, 0, reason="the end was not observed: shim and supervisor were both away")
            return False

        if look():
            self._loop.every_tick(look)

    def _recorded_end(self, child: Child) -> bool:
        try:
            exits = self._supervisor.exits()
        except EngineError:
            return False
        for row in exits:
            if (row.pid, row.start_time) == (child.pid, child.start_time):
                self._end(child, _docker_code(row.status), time_ns=row.time_ns)
                self._supervisor.forget(row.pid, row.start_time)
                return True
        return False

    def _end(self, child: Child, status: int, *, reason: str = "", time_ns: int = 0) -> None:
        container = child.container
        if child.pidfd >= 0:
            self._loop.remove(child.pidfd)
            os.close(child.pidfd)
            child.pidfd = -1
        if child.failure is not None:
            self._forget_failed(child)
            return self._answer(child, child.failure)
        container.memory.look() if child.exec_id else container.memory.close()
        row = ExitRow(
            container=container.row.container,
            exec_id=child.exec_id,
            pid=child.pid,
            status=status,
            known=not reason,
            reason=reason,
            time_ns=time_ns or time.time_ns(),
            oom=not child.exec_id and container.memory.kills > 0,
        )
        if not child.exec_id:
            container.streams.drain()  # the log is complete before anybody hears of the end
        child.ended = row
        try:
            records.write_exit(container.row.run_dir, row)
        except OSError as error:
            # Whoever listens hears of it all the same, and this process knows it until that is acknowledged.
            _complain(f"the end of {row.container[:12]} is not written down: {error}")
        self._report(row)
        return None

    def _forget_failed(self, child: Child) -> None:
        container = child.container
        del container.children[child.exec_id]
        if child.exec_id:
            records.remove_exec(container.row.run_dir, child.exec_id)
            self._close_terminal(child)
        else:
            self._all.pop(container.row.container, None)
            self._dispose(container)

    # ---- requests

    def signal(self, identity: str, exec_id: str, number: int) -> None:
        child = self._child(identity, exec_id)
        if child.ended is not None or child.pidfd < 0:
            raise ConflictError("not-running", f"container {identity[:12]} is not running")
        try:
            signal.pidfd_send_signal(child.pidfd, number)
        except ProcessLookupError:
            raise ConflictError("not-running", f"container {identity[:12]} is not running") from None
        except OSError as error:
            raise KernelError(error.errno or 0, "pidfd_send_signal", str(number)) from error

    def running(self) -> list[Child]:
        return [child for each in self._all.values() for child in each.children.values() if child.ended is None]

    def killed(self) -> dict[str, int]:
        """By live container the processes that were killed for lack of memory, where there are any."""
        live = ((key, each.memory.kills) for key, each in self._all.items() if each.main.ended is None)
        return {key: kills for key, kills in live if kills}

    def unacknowledged(self) -> list[ExitRow]:
        children = [child for each in self._all.values() for child in each.children.values()]
        return [child.ended for child in children if child.ended is not None and not child.acknowledged]

    def acknowledge(self, identity: str, exec_id: str) -> None:
        """An end is recorded elsewhere. Of an exec nothing is left then; a container waits for `release`."""
        container = self._all.get(identity)
        child = container.children.get(exec_id) if container else None
        if container is None or child is None or child.ended is None:
            return
        if exec_id:
            del container.children[exec_id]
            records.remove_exec(container.row.run_dir, exec_id)
            self._close_terminal(child)
        else:
            child.acknowledged = True
            records.keep_end(container.row.run_dir)

    def terminal(self, identity: str, exec_id: str) -> int:
        child = self._child(identity, exec_id)
        master = child.master if exec_id else child.container.streams.master
        if master < 0:
            raise ConflictError("conflict", f"{'exec' if exec_id else 'container'} has no terminal")
        return master

    def open_stdin(self, identity: str) -> int:
        return self._get(identity).streams.open_stdin()

    def close_stdin(self, identity: str) -> None:
        self._get(identity).streams.close_stdin()
        self._try(lambda: self._supervisor.drop(f"stdin/{identity}"))

    def hold(self, identity: str, by: str, seconds: float) -> None:
        """Move no output of a container for so long, or until `by` asks again; 0 lets it go on."""
        streams = self._get(identity).streams
        streams.hold(by, seconds)
        if seconds > 0:
            self._loop.later(seconds, streams.look_at_holds)

    def release(self, identity: str) -> None:
        """Forget a dead container. Idempotent; ConflictError (`already-running`) while it lives."""
        container = self._all.get(identity)
        if container is None:
            # An earlier shim may have died after it had its descriptors held and before it recorded the container.
            records.remove_all(f"{self._root}/{identity}")
            self._drop(identity)
            return
        if any(child.ended is None for child in container.children.values() if not child.exec_id):
            raise ConflictError("already-running", f"container {identity[:12]} is running")
        del self._all[identity]
        self._dispose(container)

    def _dispose(self, container: Container) -> None:
        container.memory.close()
        for child in container.children.values():
            self._close_terminal(child)
            if child.pidfd >= 0:
                self._loop.remove(child.pidfd)
                os.close(child.pidfd)
        container.streams.close()
        records.remove_all(container.row.run_dir)
        self._drop(container.row.container)

    def _close_terminal(self, child: Child) -> None:
        if child.master >= 0:
            os.close(child.master)
            child.master = -1
            self._try(lambda: self._supervisor.drop(f"tty/{child.container.row.container}/{child.exec_id}"))

    # ---- taking over

    def adopt(self) -> None:
        """Find what an earlier shim has left: live containers are followed, ends are looked up."""
        try:
            names = os.listdir(self._root)
        except FileNotFoundError:
            return
        for name in names:
            found = records.read_container(f"{self._root}/{name}")
            if found is not None:
                self._adopt(found)

    def _adopt(self, found: Found) -> None:
        row = found.container
        container = self._container(row, stdio.Streams(row.run_dir))
        self._all[row.container] = container
        self._adopt_streams(container)
        ended = {each.exec_id: each for each in found.exits}
        main = ExecRow(exec_id="", pid=row.pid, start_time=row.start_time, tty=row.tty)
        for each in (*found.execs, main):
            child = Child(container, each.exec_id, each.pid, -1, each.start_time)
            container.children[each.exec_id] = child
            if each.tty and each.exec_id:
                masters = self._fetch(f"tty/{row.container}/{each.exec_id}")
                child.master = masters[0] if masters else -1
            if each.exec_id in ended:
                child.ended = ended[each.exec_id]
            elif not each.exec_id and found.ended is not None:
                child.ended, child.acknowledged = found.ended, True
            else:
                self._watch(child)

    def _adopt_streams(self, container: Container) -> None:
        row = container.row
        held = self._fetch(f"stdio/{row.container}")
        if row.tty:
            masters = self._fetch(f"tty/{row.container}")
            if masters and len(held) == 2:
                self._pump_terminal(container, masters[0], (held[0], held[1]))
            return
        # Without a supervisor's ends the container's own still keep the pipes, and the FIFOs have names.
        readers = held if len(held) == 2 else stdio.open_outputs(row.run_dir)
        if readers:
            container.streams.pumps += stdio.pump_outputs(self._loop, readers, row.logs)
            if not held:
                self._hold(f"stdio/{row.container}", readers)
        if row.stdin_open:
            writers = self._fetch(f"stdin/{row.container}")
            container.streams.stdin = writers[0] if writers else -1

    def _watch(self, child: Child) -> None:
        """Follow a process by a pidfd, while it is there."""
        child.pidfd = process.pidfd_of(child.pid, child.start_time)
        if child.pidfd >= 0:
            self._loop.add(child.pidfd, lambda _: self._exited(child))
            if not child.exec_id:
                child.container.memory.begin()
        else:
            self._orphaned(child)

    # ---- handing over

    def hand_over(self) -> None:
        """Give a new supervisor, whose predecessor died, what the old one held. Raises EngineError."""
        hold = self._supervisor.hold
        for key, container in self._all.items():
            streams = container.streams
            hold(f"stdio/{key}", [fd for pump in streams.pumps for fd in pump.kept])
            if streams.stdin >= 0:
                hold(f"stdin/{key}", [streams.stdin])
            if streams.master >= 0:
                hold(f"tty/{key}", [streams.master])
            for child in container.children.values():
                if child.master >= 0:
                    hold(f"tty/{key}/{child.exec_id}", [child.master])
        self._supervisor.keys("stdio")  # answered when all of it is held

    # ---- small things

    def _get(self, identity: str) -> Container:
        try:
            return self._all[identity]
        except KeyError:
            raise NotFoundError("container", identity) from None

    def _live(self, identity: str) -> Container:
        container = self._all.get(identity)
        main = container.main if container is not None else None
        # Without a pidfd it was gone when we adopted it: its end is told as soon as it is known.
        if container is None or main is None or main.ended is not None or main.done is not None or main.pidfd < 0:
            raise ConflictError("not-running", f"container {identity[:12]} is not running")
        return container

    def _child(self, identity: str, exec_id: str) -> Child:
        try:
            return self._get(identity).children[exec_id]
        except KeyError:
            raise NotFoundError("exec", exec_id) from None

    def _hold(self, key: str, fds: Sequence[int]) -> None:
        self._try(lambda: self._supervisor.hold(key, fds))

    def _fetch(self, key: str) -> list[int]:
        try:
            return self._supervisor.fetch(key)
        except EngineError as error:
            _complain(error)
            return []

    def _drop(self, identity: str) -> None:
        self._try(lambda: self._supervisor.drop(*(f"{kind}/{identity}" for kind in ("stdio", "stdin", "tty"))))

    @staticmethod
    def _try(action: Callable[[], None]) -> None:
        """Without a supervisor containers run all the same, only less safely: say so and go on."""
        try:
            action()
        except EngineError as error:
            _complain(error)


def _docker_code(status: int) -> int:
    """A wait status as Docker gives it: the exit code, or 128 and the signal."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _complain(text: object) -> None:
    print(f"shim: {text}", file=sys.stderr)
