"""What the kernel kills for lack of memory is told as it happens, whoever it was and whoever of ours died meanwhile."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from stackfile.model.container import ContainerState, ExecSpec
from stackfile.model.stack import Mount, Resources, RestartPolicy
from tests.integration.daemons import Served, served
from tests.integration.engines import spec
from tests.integration.processes import back, pids, until

__all__ = ["served"]
pytestmark = pytest.mark.root

HOG = "dd if=/dev/zero of=/dev/null bs=200M count=1"
SMALL = Resources(memory=24 << 20, memory_swap=24 << 20)
ON_SIGNAL = f"trap '{HOG}' USR1; trap 'exit 3' USR2; while :; do sleep 0.05; done"
STACK = f"""name: oom
services:
  hog: {{image: busybox, mem_limit: 24m, memswap_limit: 24m, command: [sh, -c, "exec {HOG}"]}}
"""


def events(on: Served, ref: str) -> list[str]:
    seen = on.client.events(since=1, follow=False)
    identity = on.client.container(ref).id
    return [event.action for event in seen if event.id == identity and event.action in ("start", "oom", "die")]


def state(on: Served, ref: str) -> ContainerState:
    return on.client.container(ref).state


def test_within_a_container_that_runs_on(served: Served) -> None:
    """Also while the shim is another one, and each once, over the death of everybody."""
    client, box = served.client, served.box
    identity = client.create(spec("sh", "-c", ON_SIGNAL, name="runs", resources=SMALL))
    client.start(identity)
    until(lambda: state(served, "runs").pid, "running", box)

    def kill(number: int) -> None:
        client.kill("runs", "SIGUSR1")
        until(lambda: state(served, "runs").oom_kills >= number, f"kill {number}", box)
        found = state(served, "runs")
        assert (found.status, found.oom_killed, found.oom_kills) == ("running", True, number)
        assert events(served, "runs") == ["start", *["oom"] * number]
        assert f"running ({number} killed, out of memory)" in box.run("container", "ls").stdout

    kill(1)
    for number, victim in enumerate(("daemon", "shim"), 2):
        old = pids(box)
        os.kill(old[victim], signal.SIGKILL)
        until(partial(back, box, old, (victim,)), "its return", box)
        kill(number)
    assert client.exec_get(hogs(served)).exit_code == 137
    until(lambda: state(served, "runs").oom_kills == 4, "an exec's", box)
    client.kill("runs", "SIGUSR2")
    status = client.wait("runs")
    assert status.exit_code == 3
    assert state(served, "runs").oom_killed
    assert events(served, "runs") == ["start", *["oom"] * 4, "die"]
    client.start("runs")
    assert not state(served, "runs").oom_killed
    client.remove("runs", force=True)


def hogs(on: Served) -> str:
    """An exec that is killed."""
    identity = on.client.exec_create("runs", ExecSpec(argv=("sh", "-c", f"exec {HOG}")))
    on.client.exec_detached(identity)
    until(lambda: not on.client.exec_get(identity).running, "the exec's end", on.box)
    return identity


def test_the_main_process(served: Served) -> None:
    """Dies of 137 and is started again by its policy, and a shim that comes later knows why it has died."""
    client, box = served.client, served.box
    policy = RestartPolicy(name="on-failure", max_retries=1)
    client.start(client.create(spec("sh", "-c", f"exec {HOG}", name="again", resources=SMALL, restart=policy)))
    until(lambda: state(served, "again").restart_count == 1 and not state(served, "again").running, "its end", box)
    until(lambda: state(served, "again").status == "exited", "rest", box)
    assert (state(served, "again").exit_code, state(served, "again").oom_killed) == (137, True)
    assert events(served, "again") == ["start", "oom", "die"] * 2

    signals = box.directory / "signals"
    signals.mkdir()
    waits = f"while [ ! -e /signals/go ]; do usleep 10000; done; exec {HOG}"
    client.start(client.create(spec("sh", "-c", waits, name="unseen", resources=SMALL, mounts=(bind(signals),))))
    old = pids(box)
    for victim in ("shim", "daemon"):
        os.kill(old[victim], signal.SIGKILL)
    (signals / "go").touch()
    until(lambda: back(box, old, ("shim", "daemon")), "their return", box)
    until(lambda: state(served, "unseen").status == "exited", "its end", box)
    assert (state(served, "unseen").exit_code, state(served, "unseen").oom_killed) == (137, True)
    assert events(served, "unseen") == ["start", "oom", "die"]


def bind(directory: Path) -> Mount:
    return Mount(type="bind", source=str(directory), target="/signals")


def test_a_person_is_told(served: Served) -> None:
    box = served.box
    box.stack(STACK)
    box.run("up", "-d")
    until(lambda: "exited (137, out of memory)" in box.run("ps").stdout, "its end", box)
    assert "exited 137, out of memory" in box.run("explain", "hog").stdout
    box.run("down")
