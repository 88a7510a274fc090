"""Containers of the embedded engine: start to end, output, exec, stop, restart, health."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from stackfile import turns
from stackfile.engines.embedded.engine import EmbeddedEngine
from stackfile.errors import ActionError, ConflictError, NotFoundError
from stackfile.model.container import ContainerSpec, ExecSpec
from stackfile.model.stack import SECOND, Healthcheck, Resources, RestartPolicy
from stackfile.provider.engine import LogQuery
from tests.integration.engines import busybox, engine, logs, run, spec

pytestmark = pytest.mark.root


def with_engine(scenario: object) -> None:
    """Run `scenario(engine)` on an engine with the busybox image."""

    async def main() -> None:
        async with engine() as made:
            await busybox(made)
            work = scenario(made)  # type: ignore[operator]
            assert isinstance(work, Coroutine)
            await asyncio.wait_for(work, 60)

    asyncio.run(main())


async def started(made: EmbeddedEngine, container: ContainerSpec) -> str:
    identity = await made.container_create(container)
    assert await made.container_start(identity)
    return identity


async def reaches(made: EmbeddedEngine, ref: str, status: str, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while (await made.container_get(ref)).state.status != status:
            await asyncio.sleep(0.01)


def test_output_and_exit_code() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        code, output = await run(made, spec("sh", "-c", "echo out; echo err >&2; exit 3", name="one"))
        assert (code, sorted(output.split())) == (3, ["err", "out"])
        record = await made.container_get("one")
        assert (record.state.status, record.state.exit_known, record.state.pid) == ("exited", True, 0)
        chunks = [chunk async for chunk in made.container_logs("one", LogQuery(stdout=False))]
        assert [(chunk.stream, chunk.data) for chunk in chunks] == [(2, b"err\n")]
        actions = [event.action async for event in made.events(follow=False) if event.kind == "container"]
        assert actions == ["create", "start", "die"]

    with_engine(scenario)


def test_docker_exit_codes() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        for argv, reason, code in (
            (("/nowhere",), "command-not-found", 127),
            (("/tmp",), "command-not-executable", 126),
        ):
            identity = await made.container_create(spec(*argv))
            with pytest.raises(ActionError) as caught:
                await made.container_start(identity)
            assert caught.value.reason == reason
            state = (await made.container_get(identity)).state
            assert (state.status, state.exit_code) == ("created", code)
        assert (await run(made, spec("sh", "-c", "sh -c 'kill -9 $$'; exit $?")))[0] == 137

    with_engine(scenario)


def test_names_and_references() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        identity = await made.container_create(spec("true", name="web"))
        assert (await made.container_get("/web")).id == identity
        assert (await made.container_get(identity[:12])).id == identity
        with pytest.raises(ConflictError) as caught:
            await made.container_create(spec("true", name="web"))
        assert caught.value.reason == "name-taken"
        await made.container_rename("web", "store")
        await made.container_create(spec("true", name="web"))
        await made.container_remove("store")
        with pytest.raises(NotFoundError):  # a name in hexadecimal could begin another's id
            await made.container_get("store")
        with pytest.raises(NotFoundError) as missing:
            await made.container_create(ContainerSpec(image="nothing:here", name="x"))
        assert missing.value.reason == "image-not-found"
        await made.container_create(spec("true", name="x"))

    with_engine(scenario)


def test_stop_uses_the_signal_and_then_kills() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        polite = "trap 'echo bye; exit 5' USR1; while :; do sleep 0.05; done"
        first = await started(made, spec("sh", "-c", polite, stop_signal="SIGUSR1"))
        stubborn = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
        second = await started(made, spec("sh", "-c", stubborn))
        async with asyncio.timeout(5):
            while "ready" not in await logs(made, second):
                await asyncio.sleep(0.01)
        assert await made.container_stop(first, timeout=10)
        assert (await made.container_get(first)).state.exit_code == 5
        assert await logs(made, first) == "bye\n"
        assert await made.container_stop(second, timeout=0.2)
        state = (await made.container_get(second)).state
        assert (state.exit_code, state.stopped_by_user) == (137, True)
        assert not await made.container_stop(second)

    with_engine(scenario)


def test_kill_pause_and_remove(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        identity = await started(made, spec("sleep", "60"))
        assert not await made.container_start(identity)
        await made.container_pause(identity)
        with pytest.raises(ConflictError):
            await made.exec_create(identity, ExecSpec(argv=("true",)))
        await made.container_unpause(identity)
        monkeypatch.setattr(turns, "PATIENCE", 0.01)
        async with made._parts.registry.find(identity).turn("start"):
            with pytest.raises(ActionError) as late:
                await made.container_stop(identity)
        monkeypatch.undo()
        assert (late.value.reason, late.value.cause.split()[0]) == ("timeout", "start")
        with pytest.raises(ConflictError) as caught:
            await made.container_remove(identity)
        assert caught.value.reason == "already-running"
        await made.container_kill(identity)
        assert (await made.container_get(identity)).state.exit_code == 137
        with pytest.raises(ConflictError) as stopped:
            await made.container_kill(identity)
        assert stopped.value.reason == "not-running"
        await made.container_start(identity)
        waiting = asyncio.ensure_future(made.container_wait(identity, "removed"))
        await asyncio.sleep(0)
        await made.container_remove(identity, force=True)
        await asyncio.wait_for(waiting, 5)

    with_engine(scenario)


def test_auto_remove_keeps_the_log_while_it_is_read() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        identity = await made.container_create(spec("seq", "20000", auto_remove=True))
        streams = await made.container_attach(identity, stdin=False)
        await made.container_start(identity)
        await asyncio.wait_for(made.container_wait(identity, "removed"), 10)
        data = b"".join([chunk.data async for chunk in streams.output()])
        await streams.close()
        assert data.split()[-1] == b"20000"
        assert data.count(b"\n") == 20000
        assert not await made.container_list()

    with_engine(scenario)


def test_restart_policies() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        policy = RestartPolicy(name="on-failure", max_retries=2)
        failing = await started(made, spec("sh", "-c", "echo run; exit 1", restart=policy))
        await reaches(made, failing, "exited")
        assert (await made.container_get(failing)).state.restart_count == 2
        assert await logs(made, failing) == "run\n" * 3

        always = await started(made, spec("sh", "-c", "exit 0", restart=RestartPolicy(name="always")))
        async with asyncio.timeout(10):
            while (await made.container_get(always)).state.restart_count < 2:
                await asyncio.sleep(0.01)
        assert await made.container_stop(always)
        await asyncio.sleep(1.0)
        assert (await made.container_get(always)).state.status == "exited"

    with_engine(scenario)


def test_restart_by_the_user_keeps_auto_remove_away() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        identity = await started(made, spec("sleep", "60", auto_remove=True))
        before = (await made.container_get(identity)).state.pid
        await made.container_restart(identity, timeout=0.1)
        record = await made.container_get(identity)
        assert (record.state.status, record.state.restart_count) == ("running", 0)
        assert record.state.pid != before

    with_engine(scenario)


def test_health() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        check = Healthcheck(test=("CMD-SHELL", "cat /tmp/ok"), interval=SECOND // 5, retries=2, timeout=SECOND)
        script = "sleep 0.2; echo fine > /tmp/ok; sleep 60"
        identity = await made.container_create(spec("sh", "-c", script, name="web", healthcheck=check))
        await made.container_start(identity)
        assert (await made.container_get(identity)).state.health.status == "starting"
        record = await made.container_wait_healthy(identity, 10)
        assert record.state.health.status == "healthy"
        assert record.state.health.log[-1].output == "fine\n"
        await exec_output(made, identity, "rm", "/tmp/ok")
        with pytest.raises(ActionError) as caught:
            await healthy_no_more(made, identity)
        assert caught.value.reason == "unhealthy"
        assert "No such file" in caught.value.cause
        words = [event.action async for event in made.events(follow=False)]
        assert [word for word in words if word.startswith("health")] == [
            "health_status: healthy",
            "health_status: unhealthy",
        ]

    with_engine(scenario)


async def healthy_no_more(made: EmbeddedEngine, ref: str) -> None:
    """Ask for health until it is refused."""
    async with asyncio.timeout(10):
        while True:
            await made.container_wait_healthy(ref, 10)
            await asyncio.sleep(0.05)


def test_a_probe_that_hangs_is_killed() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        check = Healthcheck(test=("CMD", "sleep", "60"), interval=SECOND // 10, retries=1, timeout=SECOND // 5)
        identity = await started(made, spec("sleep", "60", healthcheck=check))
        with pytest.raises(ActionError) as caught:
            await made.container_wait_healthy(identity, 10)
        assert caught.value.reason == "unhealthy"
        _, rows = await made.container_top(identity)
        assert len([row for row in rows if row[-1].startswith("sleep")]) <= 2

    with_engine(scenario)


def test_waiting_for_health_of_what_ends() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        identity = await started(made, spec("sh", "-c", "sleep 0.3; exit 7", name="early",
                                            healthcheck=Healthcheck(test=("CMD", "false"))))  # fmt: skip
        with pytest.raises(ActionError) as caught:
            await made.container_wait_healthy(identity, 10)
        assert (caught.value.reason, caught.value.details["exit_code"]) == ("exited-early", 7)
        quiet = await started(made, spec("sleep", "60", healthcheck=Healthcheck(test=("CMD", "false"))))
        with pytest.raises(ActionError) as late:
            await made.container_wait_healthy(quiet, 0.3)
        assert late.value.reason == "timeout"

    with_engine(scenario)


async def exec_output(made: EmbeddedEngine, ref: str, *argv: str, **fields: object) -> tuple[int | None, bytes]:
    identity = await made.exec_create(ref, ExecSpec(argv=argv, **fields))  # type: ignore[arg-type]
    streams = await made.exec_start(identity)
    assert streams is not None
    data = b"".join([chunk.data async for chunk in streams.output()])
    await streams.close()
    return (await made.exec_get(identity)).exit_code, data


def test_exec() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        identity = await started(made, spec("sleep", "60", environment={"A": "1"}, working_dir="/tmp"))
        assert await exec_output(made, identity, "sh", "-c", "echo $A; pwd; exit 4") == (4, b"1\n/tmp\n")
        assert await exec_output(made, identity, "id", "-u", user="7:8") == (0, b"7\n")
        code, data = await exec_output(made, identity, "sh", "-c", "test -t 0 && echo tty", tty=True, stdin=True)
        assert (code, data) == (0, b"tty\r\n")
        with pytest.raises(ActionError) as caught:
            await exec_output(made, identity, "/nowhere")
        assert caught.value.reason == "command-not-found"

        cat = await made.exec_create(identity, ExecSpec(argv=("wc", "-c"), stdin=True))
        streams = await made.exec_start(cat)
        assert streams is not None
        for _ in range(40):
            await streams.write(b"x" * 50_000)
        await streams.close_stdin()
        assert b"".join([chunk.data async for chunk in streams.output()]).strip() == b"2000000"
        await streams.close()

        detached = await made.exec_create(identity, ExecSpec(argv=("sh", "-c", "echo hi > /tmp/made"), stdin=True))
        assert await made.exec_start(detached, detach=True) is None
        async with asyncio.timeout(5):
            while (await made.exec_get(detached)).running:
                await asyncio.sleep(0.01)
        assert await exec_output(made, identity, "cat", "/tmp/made") == (0, b"hi\n")

    with_engine(scenario)


def test_stdin_given_before_the_start() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        identity = await made.container_create(spec("sh", "-c", "cat; echo end", stdin_open=True, stdin_once=True))
        streams = await made.container_attach(identity, stdin=True)

        async def send() -> None:
            await streams.write(b"hello\n")
            await streams.close_stdin()

        sending = asyncio.ensure_future(send())
        await asyncio.sleep(0.05)
        await made.container_start(identity)
        async with asyncio.timeout(10):
            data = b"".join([chunk.data async for chunk in streams.output()])
        await sending
        await streams.close()
        assert data == b"hello\nend\n"

    with_engine(scenario)


def test_a_terminal() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        identity = await made.container_create(spec("sh", tty=True, stdin_open=True))
        streams = await made.container_attach(identity, stdin=True)
        await made.container_start(identity)
        await made.container_resize(identity, 33, 44)
        await streams.write(b"stty size; exit 6\n")
        async with asyncio.timeout(10):
            data = b"".join([chunk.data async for chunk in streams.output()])
        await streams.close()
        assert streams.tty
        assert b"33 44\r\n" in data
        assert (await made.container_wait(identity)).exit_code == 6

    with_engine(scenario)


def test_logs_are_followed_to_the_end() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        script = "i=0; while [ $i -lt 300 ]; do echo $i; i=$((i+1)); [ $((i%50)) = 0 ] && sleep 0.05; done; true"
        identity = await started(made, spec("sh", "-c", script))
        lines = [chunk.data async for chunk in made.container_logs(identity, LogQuery(follow=True))]
        assert b"".join(lines).decode().split() == [str(number) for number in range(300)]
        tail = [chunk.data async for chunk in made.container_logs(identity, LogQuery(tail=2))]
        assert tail == [b"298\n", b"299\n"]

    with_engine(scenario)


def test_limits_are_in_the_kernel_and_change_in_place() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        limits = Resources(memory=64 << 20, pids=50, nano_cpus=500_000_000)
        identity = await started(made, spec("sleep", "60", resources=limits))
        record = await made.container_get(identity)
        assert memory_limit(record.state.pid) == 64 << 20
        assert record.pids >= 1
        await made.container_update(identity, replace_resources(record.spec, memory=96 << 20))
        after = await made.container_get(identity)
        assert memory_limit(after.state.pid) == 96 << 20
        assert after.state.pid == record.state.pid
        assert (await made.container_stats(identity)).memory_limit == 96 << 20

    with_engine(scenario)


def test_memory_runs_out() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        hog = spec("sh", "-c", "tail /dev/zero", resources=Resources(memory=16 << 20), name="hog")
        code, _ = await run(made, hog)
        assert code == 137
        assert (await made.container_get("hog")).state.oom_killed

    with_engine(scenario)


def test_twenty_containers_at_once() -> None:
    async def scenario(made: EmbeddedEngine) -> None:
        codes = await asyncio.gather(*(run(made, spec("sh", "-c", f"exit {n}")) for n in range(20)))
        assert [code for code, _ in codes] == list(range(20))

    with_engine(scenario)


def replace_resources(before: ContainerSpec, **changes: Any) -> ContainerSpec:
    from dataclasses import replace

    return replace(before, resources=replace(before.resources, **changes))


def memory_limit(pid: int) -> int:
    """The limit of a process's memory cgroup (v1 or v2)."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return int(Path(f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes").read_text())
        if not controllers and Path(f"/sys/fs/cgroup{path}/memory.max").exists():
            return int(Path(f"/sys/fs/cgroup{path}/memory.max").read_text())
    raise AssertionError(f"process {pid} is in no memory cgroup")
