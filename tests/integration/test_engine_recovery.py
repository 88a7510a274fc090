"""What an engine finds when its daemon died, its shim died, or the machine was restarted; and what it leaves."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stackfile.engines.embedded.engine import EmbeddedEngine
from stackfile.errors import ActionError, EngineError
from stackfile.kernel.process import is_alive, start_time
from stackfile.model import labels
from stackfile.model.container import NetworkRecord
from stackfile.model.stack import (
    SECOND,
    Attachment,
    Dependency,
    Healthcheck,
    ImageResource,
    Mount,
    Port,
    Resources,
    RestartPolicy,
    Step,
)
from stackfile.supervisor.client import Supervisor
from tests.integration.engines import Roots, busybox, empty, engine, logs, run, spec
from tests.integration.test_engine_containers import exec_output, started
from tests.integration.test_engine_resources import SERVE, answers, ask, free_port, service
from tests.kill.wreck import links
from tests.leaks import Watch, leaked

pytestmark = pytest.mark.root

_CRASH = """
import asyncio, os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.integration import engines
from tests.integration.test_engine_recovery import SCENARIOS
from stackfile.engines.embedded.engine import EmbeddedEngine
from stackfile import settings
async def main():
    made = EmbeddedEngine(settings.load())
    await made.open()
    await SCENARIOS[{name!r}](made, *sys.argv[1:])
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""


@pytest.fixture
def roots() -> Iterator[Roots]:
    made = Roots()
    made.start()
    try:
        yield made
    finally:
        if made.supervisor is not None:

            async def clean() -> None:
                async with engine(made) as last:
                    await empty(last)

            asyncio.run(clean())
            made.stop()
        made.remove()


def crash(roots: Roots, name: str, *arguments: str) -> None:
    """Run a scenario in a daemon-like process that then dies by SIGKILL."""
    code = _CRASH.format(root=str(Path(__file__).parents[2]), name=name)
    environment = {**os.environ, **roots.settings.environment()}
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=environment, timeout=90, check=False)
    assert done.returncode == -signal.SIGKILL


async def _two_replicas(made: EmbeddedEngine, port: str) -> None:
    await busybox(made)
    await made.network_create(NetworkRecord(id="", name="p_default", labels={labels.PROJECT: "p"}))
    for number in (1, 2):
        script = f"(i=0; while :; do echo line $i; i=$((i+1)); sleep 0.02; done) & {SERVE.format(number)}"
        ports = (Port(target=80, published=int(port)),)
        await started(made, service("web", number, "sh", "-c", script, ports=ports))
    await started(made, service("short", 1, "sh", "-c", "sleep 0.5; exit 9"))
    await started(made, service("flaky", 1, "sh", "-c", "sleep 0.5; exit 9", restart=RestartPolicy(name="always")))
    await made.container_create(service("created", 1, "true"))


async def _a_step(made: EmbeddedEngine) -> None:
    await busybox(made)
    image = engines_image("sleep", "60")
    building = asyncio.ensure_future(made.image_build(image, "slow"))
    async with asyncio.timeout(20):
        while not any(Path(made.settings.run, "containers").glob("*/shim.json")):
            await asyncio.sleep(0.02)
            assert not building.done()


async def _a_removal(made: EmbeddedEngine) -> None:
    await busybox(made)
    await started(made, spec("sleep", "60", name="kept", mounts=(Mount(type="volume", target="/data"),)))
    state = sqlite3.connect(f"{made.settings.root}/state.db")
    identity = await started(made, spec("sleep", "60", name="forgotten"))
    # As if the row had gone and the rest had not.
    state.execute("DELETE FROM containers WHERE id = ?", (identity,))
    state.commit()
    state.close()


SCENARIOS: dict[str, Callable[..., Awaitable[None]]] = {
    "two-replicas": _two_replicas,
    "step": _a_step,
    "removal": _a_removal,
}


def engines_image(*argv: str) -> dict[str, ImageResource]:
    base = ImageResource(name="slow", base="busybox:latest", steps=(Step(kind="run", argv=argv),))
    return {"slow": base}


def test_running_containers_are_adopted(roots: Roots) -> None:
    port = free_port()
    crash(roots, "two-replicas", str(port))

    async def scenario() -> None:
        assert await answers(port)
        await asyncio.sleep(0.7)
        async with engine(roots) as made:
            records = {record.spec.name: record for record in await made.container_list()}
            for number in (1, 2):
                record = records[f"p-web-{number}"]
                assert record.state.status == "running"
                assert os.path.exists(f"/proc/{record.state.pid}")
            short = records["p-short-1"].state
            assert (short.status, short.exit_code, short.exit_known) == ("exited", 9, True)
            assert records["p-created-1"].state.status == "created"
            async with asyncio.timeout(10):
                while (await made.container_get("p-flaky-1")).state.restart_count < 1:
                    await asyncio.sleep(0.02)
            assert {await answers(port) for _ in range(20)} == {"1", "2"}
            await made.container_stop("p-web-1", timeout=0)
            assert {await answers(port) for _ in range(6)} == {"2"}
            code, output = await exec_output(made, "p-web-2", "nslookup", "web")
            assert (code, records["p-web-2"].endpoints[0].ipv4 in output.decode().split()) == (0, True)
            lines = (await logs(made, "p-web-2")).split("\n")[:-1]
            assert lines == [f"line {number}" for number in range(len(lines))]
            assert len(lines) > 40
            await made.container_stop("p-web-2", timeout=0)
            assert await asyncio.to_thread(ask, port) == ""

    asyncio.run(scenario())


def test_a_step_of_a_killed_build_is_ended(roots: Roots) -> None:
    crash(roots, "step")

    async def scenario() -> None:
        async with engine(roots) as made:
            assert not any(Path(made.settings.run, "containers").iterdir())
            assert not await made.container_list()
            assert await busybox(made)

    asyncio.run(scenario())


INIT = """#!/bin/sh
shift
echo by init
exec "$@"
"""


@contextmanager
def foreign(roots: Roots) -> Iterator[None]:
    """What others have called nearly as ours is: not marked as ours, so it has to be there at the end."""
    given = roots.settings
    directories = [
        *(path / "mine" for path in sorted(Path("/sys/fs/cgroup").glob(f"**/{given.cgroup_parent}"))[:1]),
        Path(given.root, "containers", "mine"),
        Path(given.run, "containers", "mine"),
    ]
    bridge, table = f"{given.bridge_prefix}-mine", f"{given.nft_table}-mine"
    for path in directories:
        path.mkdir()
    subprocess.run(["ip", "link", "add", bridge, "type", "bridge"], check=True)
    subprocess.run(["nft", "add", "table", "inet", table], check=True)
    try:
        yield
    finally:
        there = [path.is_dir() for path in directories]
        for path in filter(Path.is_dir, directories):
            path.rmdir()
        there += [
            subprocess.run(command, check=False).returncode == 0
            for command in (["ip", "link", "del", bridge], ["nft", "delete", "table", "inet", table])
        ]
        assert all(there), there


@pytest.mark.usefixtures("apart")
def test_what_nobody_knows_is_released(roots: Roots) -> None:
    program = roots.directory / "init"
    program.write_text(INIT)
    program.chmod(0o755)
    roots.settings = replace(roots.settings, init=str(program))
    crash(roots, "removal")
    with closing(Supervisor(f"{roots.settings.run}/supervisor.sock")) as held, open(os.devnull) as file:
        for kind in ("netns", "dns", "stdio", "stdin", "tty", "mine"):
            held.hold(f"{kind}/{'0' * 64}", [file.fileno()])

    async def scenario() -> None:
        async with engine(roots) as made:
            (record,) = await made.container_list()
            assert (record.spec.name, record.state.status) == ("kept", "running")
            left = {path.name for path in Path(made.settings.run, "containers").iterdir()}
            assert left == {record.id, "mine"}
            assert [key for key in made._parts.core.supervisor.keys("") if "0" * 64 in key] == [f"mine/{'0' * 64}"]
            assert await run(made, spec("echo", "hello", init=True)) == (0, "by init\nhello\n")
            program.unlink()
            with pytest.raises(ActionError) as caught:
                await run(made, spec("echo", "hello", init=True))
            assert caught.value.reason == "host-program-missing"

    with foreign(roots):
        asyncio.run(scenario())


def test_a_dead_shim_leaves_its_containers_running(roots: Roots) -> None:
    async def scenario() -> None:
        async with engine(roots) as made:
            await busybox(made)
            identity = await started(made, spec("sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.05; done"))
            pid = (await made.container_get(identity)).state.pid
            status = made._parts.core.supervisor.status()
            os.kill(status["shim"].pid, 9)
            async with asyncio.timeout(10):
                while made._parts.core.supervisor.status()["shim"].restarts < 1:
                    await asyncio.sleep(0.02)
            assert await exec_output(made, identity, "echo", "hi") == (0, b"hi\n")
            assert (await made.container_get(identity)).state.pid == pid
            await made.container_stop(identity, timeout=5)
            state = (await made.container_get(identity)).state
            assert (state.exit_code, state.exit_known) == (4, True)

    asyncio.run(scenario())


def test_who_lists_a_project_waits_for_ends_that_were_not_reported(roots: Roots) -> None:
    """Without a shim nobody tells the engine for a while that a container has ended."""

    async def scenario() -> None:
        async with engine(roots) as made:
            await busybox(made)
            identity = await started(made, spec("sleep", "60", labels={labels.PROJECT: "p"}))
            pid = (await made.container_get(identity)).state.pid
            os.kill(made._parts.core.supervisor.status()["shim"].pid, 9)
            os.kill(pid, 9)
            async with asyncio.timeout(10):
                while is_alive(pid, start_time(pid)):
                    await asyncio.sleep(0)
            (record,) = await made.container_list(project="p")
            assert (record.state.status, record.state.exit_code) == ("exited", 137)

    asyncio.run(scenario())


def test_a_second_daemon_is_refused(roots: Roots) -> None:
    async def scenario() -> None:
        async with engine(roots):
            with pytest.raises(EngineError) as caught:
                await EmbeddedEngine(roots.settings).open()
            assert caught.value.reason == "engine-locked"

    asyncio.run(scenario())


@pytest.mark.usefixtures("apart")
def test_a_reboot_starts_again_by_policy_and_in_order() -> None:
    roots = Roots()

    async def before() -> None:
        async with engine(roots) as made:
            await busybox(made)
            await made.network_create(NetworkRecord(id="", name="p_default", labels={labels.PROJECT: "p"}))
            always = RestartPolicy(name="always")
            check = Healthcheck(test=("CMD", "test", "-e", "/ok"), interval=SECOND // 5)
            script = "rm -f /ok; sleep 0.5; touch /ok; sleep 60"
            await started(made, service("db", 1, "sh", "-c", script, restart=always, healthcheck=check))
            waits = {"db": Dependency(condition="service_healthy")}
            await started(made, service("web", 1, "sleep", "60", restart=always, depends_on=waits))
            await started(made, service("once", 1, "sleep", "60"))
            stopped = RestartPolicy(name="unless-stopped")
            await started(made, service("stopped", 1, "sleep", "60", restart=stopped))
            await made.container_stop("p-stopped-1", timeout=0)

    async def after() -> None:
        async with engine(roots) as made:
            await made.container_wait_healthy("p-db-1", 10)
            async with asyncio.timeout(10):
                while (await made.container_get("p-web-1")).state.status != "running":
                    await asyncio.sleep(0.02)
            once = (await made.container_get("p-once-1")).state
            assert (once.status, once.exit_known) == ("exited", False)
            assert (await made.container_get("p-stopped-1")).state.status == "exited"
            events = [event async for event in made.events(follow=False)]
            last = {(event.attributes.get("name"), event.action): event.sequence for event in events}
            assert last["p-web-1", "start"] > last["p-db-1", "health_status: healthy"]
            assert (await exec_output(made, "p-web-1", "ping", "-c1", "-W2", "db"))[0] == 0
            await empty(made)

    roots.start()
    asyncio.run(before())
    roots.stop()
    # The processes died with the machine; /run is empty, and so are the kernel's tables.
    subprocess.run(["rm", "-rf", roots.settings.run], check=True)
    wipe_network(roots)
    roots.start()
    try:
        asyncio.run(after())
    finally:
        roots.stop()
        roots.remove()


def wipe_network(roots: Roots) -> None:
    for name in links(roots.settings.bridge_prefix):
        subprocess.run(["ip", "link", "del", name], check=False)  # with one of a pair both go
    subprocess.run(["nft", "delete", "table", "inet", roots.settings.nft_table], check=False, capture_output=True)
    subprocess.run(["nft", "delete", "table", "ip", roots.settings.nft_table], check=False, capture_output=True)


@pytest.mark.alone
def test_nothing_is_left(roots: Roots) -> None:
    async def round_trip(made: EmbeddedEngine) -> None:
        await made.network_create(NetworkRecord(id="", name="p_default", labels={labels.PROJECT: "p"}))
        limits = Resources(memory=64 << 20)
        mount = Mount(type="volume", source="p_data", target="/data")
        for number in range(3):
            container = service("web", number, "sleep", "60", resources=limits, ports=(Port(target=80),))
            identity = await started(made, replace(container, mounts=(mount,)))
            await exec_output(made, identity, "true")
        default = await started(made, spec("sleep", "60", stdin_open=True))
        await made.container_stop(default, timeout=0)
        attached = await started(
            made, spec("sh", tty=True, stdin_open=True, networks=(Attachment(network="p_default"),))
        )
        await made.container_kill(attached)
        await empty(made)

    async def scenario() -> None:
        async with engine(roots) as made:
            await busybox(made)
            assert roots.supervisor is not None
            await round_trip(made)
            await asyncio.sleep(3)
            watch = Watch((made.settings.root, made.settings.run), (roots.supervisor.pid, os.getpid()))
            before = watch.take()
            await round_trip(made)
            await made.settle()
            assert await asyncio.to_thread(leaked, before, watch.take) == {}

    asyncio.run(scenario())
