"""The examples, run as their heads say: the platform beside the stack it needs, the Compose file by us and Compose."""

from __future__ import annotations

import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests import peers
from tests.integration.daemons import Served, served
from tests.integration.quickstart import free_port, get

__all__ = ["served"]
pytestmark = pytest.mark.root
EXAMPLES = Path(__file__).parents[2] / "examples"


def copy(served: Served, name: str) -> Path:
    directory = served.box.directory / name
    shutil.copytree(EXAMPLES / name, directory, ignore=shutil.ignore_patterns("__pycache__"))
    return directory


def test_the_platform_comes_up_beside_its_other_stack(served: Served) -> None:
    directory, box = copy(served, "platform"), served.box
    ports = {team: free_port() for team in ("red", "blue")}
    sets = [f"--set=teams.{team}.port={ports[team]}" for team in ports]
    box.run("-f", "data.stack.yaml", "up", cwd=directory)
    up = box.run(*sets, "up", cwd=directory)
    assert f"http://localhost:{ports['blue']}" in up.stdout
    assert get(ports["blue"]) == "platform 1.10, dev: blue, shard 1 of 1 on blue-1, visit 1\n"
    assert "platform 1.10, dev: red, shard 1 of 1 on red-1, visit " in get(ports["red"])
    running = {row["name"] for row in box.json("ps", cwd=directory)}
    assert running == {f"platform-{name}-1" for name in ("api-red", "api-blue", "worker-red", "shell")}
    teams = box.run("exec", "api-red", "python3", "-c", "print(open('/etc/teams.ini').read())", cwd=directory).stdout
    assert "[blue.localhost]\nowner = alan\nreplicas = 1\n" in teams
    assert box.run(*sets, "plan", "--exit-code", cwd=directory).stdout.startswith("platform is up to date")

    # Production is another environment of the same project: asked for by name, or refused.
    box.run("-E", "prod", *sets, "plan", cwd=directory, code=5)
    planned = box.run("-E", "prod", *sets, "plan", "--switch-environment", "--remove-orphans", cwd=directory).stdout
    assert "+   service.api-gold" in planned
    assert "-   service.shell" in planned
    box.run("down", "-v", cwd=directory)
    assert [row["service"] for row in box.json("-p", "platform-data", "ps", cwd=directory)] == ["store"]
    box.run("-f", "data.stack.yaml", "down", "-v", cwd=directory)


@pytest.mark.peer
def test_the_compose_file_runs_unchanged_with_us_and_with_compose(served: Served) -> None:
    directory, box, port = copy(served, "guestbook"), served.box, free_port()
    served.client.tag_image("busybox:latest", "busybox:1.36")
    (directory / ".env").write_text(f"PORT={port}\n")
    environment = {**served.environment(), "DOCKER_HOST": served.host}

    def compose(*args: str) -> str:
        done = subprocess.run(
            [peers.compose(), *args], cwd=directory, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{args}\n{done.stdout}\n{done.stderr}\n{box.logs()}"
        return done.stdout

    def ours(*args: str) -> str:
        return box.run(*args, cwd=directory).stdout

    for run, up in ((ours, ["up"]), (compose, ["up", "-d", "--wait", "web"])):
        run(*up)
        for entry in ("hello", "world"):
            with urllib.request.urlopen(f"http://localhost:{port}/cgi-bin/sign", entry.encode(), timeout=10) as answer:
                assert answer.read() == b"thank you\n"
        lines = get(port, "/cgi-bin/index.cgi").splitlines()
        assert (lines[0], [line.split()[1] for line in lines[1:]]) == ("Guests:", ["hello", "world"])
        assert run("--profile", "backup", "run", "--rm", "backup").splitlines() == lines[1:]
        run("down", "-v")
