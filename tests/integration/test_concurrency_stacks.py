"""Many commands on few stacks at once: each waits for its turn and says for whom; the end is that of some order."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from stackfile import api
from stackfile.api.client import Client
from tests import leaks
from tests.conftest import Box
from tests.integration.crowds import PATIENCE, Command, own
from tests.integration.quickstart import free_port

pytestmark = pytest.mark.root

PROJECTS = ("north", "south", "west")
_IMAGES = """images:
  app:
    from: scratch
    tags: [shared:1]
    steps:
      - host: {programs: [busybox]}
      - run: [busybox, sh, -c, "echo made > /made"]
"""
_SHARED = """networks:
  default: {}
  common: {external: true, name: common}
volumes:
  own: {}
  common: {external: true, name: common}
"""


def _text(project: str, variant: int, port: int) -> str:
    """Variants differ in replicas, environment, ports, limits, and in a service that only some have."""
    web = f"""services:
  web:
    image: app
    command: [busybox, sleep, "1000"]
    stop_grace_period: 0s
    scale: {1 + variant}
    environment: {{VARIANT: "{variant // 2}"}}
    mem_limit: {64 + 32 * variant}m
    networks: [default, common]
    volumes: [own:/own, common:/common]
"""
    if variant:
        web += f'    ports: ["127.0.0.1:{port}:80"]\n'
    store = """  store:
    image: app
    command: [busybox, sleep, "1000"]
    stop_grace_period: 0s
    healthcheck: {test: [CMD, busybox, test, -e, /made], interval: 1s}
"""
    return f"name: {project}\n{_IMAGES}{_SHARED}{web}{store if variant != 1 else ''}"


@pytest.fixture
def crowd(box: Box) -> Iterator[tuple[Box, Client]]:
    """An engine with a network and a volume that all projects share, and a directory for each project."""
    box.run("daemon", "start")
    client = api.connect(environ=box.settings.environment())
    client.docker("POST", "networks", "create", value={"Name": "common"})
    client.docker("POST", "volumes", "create", value={"Name": "common"})
    port = free_port()
    for name in PROJECTS:
        (box.directory / name).mkdir()
        for variant in range(3):
            path = box.directory / name / f"{variant}.stack.yaml"
            path.write_text(_text(name, variant, port + PROJECTS.index(name)))
    try:
        yield box, client
    finally:
        client.close()


def together(box: Box, *args: str) -> None:
    """A command for each project, all at once."""
    for command in [Command(box, box.directory / name, *args) for name in PROJECTS]:
        assert command.end() == 0, command.errors


def test_twenty_commands_on_three_stacks_end_as_in_some_order(crowd: tuple[Box, Client]) -> None:
    box, client = crowd
    seed = random.randrange(1000)
    chance = random.Random(seed)
    # All three build the image that they share, at once.
    together(box, "-f", "2.stack.yaml", "up")
    assert {row.spec.image for row in client.containers()} == {client.image("shared:1").id}
    together(box, "-f", "2.stack.yaml", "down")
    watch = box.watch()
    client.settle()
    before = own(watch)

    started: list[Command] = []
    for kind in chance.sample(["up", "down"] * 10, 20):
        directory = box.directory / chance.choice(PROJECTS)
        args = ("-f", f"{chance.randrange(3)}.stack.yaml", kind)
        started.append(Command(box, directory, *args, *(("--remove-orphans",) if kind == "up" else ())))
    codes = [command.end() for command in started]
    told = [
        (command.args, code, command.lines[-1:], command.errors) for command, code in zip(started, codes, strict=True)
    ]
    assert codes == [0] * 20, (seed, told)

    # A job that was not the first of its project said for whom it waits.
    jobs = client.jobs()
    by_job = {command.job: command for command in started}
    order = {name: [job.id for job in jobs if job.project == name and job.id in by_job] for name in PROJECTS}
    assert sum(map(len, order.values())) == 20
    assert any(command.waited for command in started), seed
    for name, identities in order.items():
        for identity in identities:
            earlier = identities[: identities.index(identity)]
            assert all(wait["attributes"]["job"] in earlier for wait in by_job[identity].waited)
        if not identities:
            continue
        # The last one decides.
        last = by_job[identities[-1]]
        rows = client.containers(name)
        if "down" in last.args:
            assert not rows, (seed, name)
            assert not [network for network in client.networks() if network.name.startswith(f"{name}_")]
        else:
            assert all(row.state.running for row in rows), (seed, name)
            assert box.run(*last.args[:2], "plan", "--exit-code", cwd=box.directory / name, code=None).returncode == 0
            variant = int(last.args[1][0])
            counts = Counter(row.spec.name.split("-")[1] for row in rows)
            assert counts == Counter(web=1 + variant, store=int(variant != 1)), (seed, name)

    together(box, "-f", "0.stack.yaml", "down")
    client.settle()
    # Warm workers come one after another: those that twenty commands took are made again.
    assert not leaks.leaked(before, lambda: own(watch), 20), seed


_HELD = """  slow:
    image: app
    command: [busybox, sleep, "1000"]
    stop_grace_period: 0s
    healthcheck: {test: [CMD, busybox, test, -e, /go], interval: 1s, retries: 1000}
  late:
    image: app
    command: [busybox, sleep, "1000"]
    stop_grace_period: 0s
    depends_on: {slow: {condition: service_healthy}}
"""


def _ended(client: Client, identity: str) -> str:
    """How a job ended, once it has."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        status = next(job.status for job in client.jobs() if job.id == identity)
        if status not in ("running", "waiting"):
            return status
        time.sleep(0.05)
    raise AssertionError(client.jobs())


def _names(client: Client, project: str) -> list[str]:
    return sorted(row.spec.name for row in client.containers(project))


def test_who_goes_away_makes_room_for_the_next(crowd: tuple[Box, Client]) -> None:
    """A client that vanishes counts as a ctrl-C: nothing new starts, and the next in the queue has its turn."""
    box, client = crowd
    north = box.directory / "north"
    (north / "held.stack.yaml").write_text(_text("north", 0, 0) + _HELD)
    running = Command(box, north, "-f", "held.stack.yaml", "up")
    running.until(address="service.late", status="waiting")
    killed, pressed, third = (
        Command(box, north, "-f", "0.stack.yaml", *args) for args in (("down",), ("up",), ("stop",))
    )
    for command in (killed, pressed, third):
        message = command.until(type="waiting")["message"]
        assert (running.job in message, "up of north" in message) == (True, True), message

    killed.process.kill()
    assert _ended(client, killed.job) == "cancelled"
    pressed.process.send_signal(signal.SIGINT)
    assert (pressed.end(), pressed.result) == (130, "cancelled")
    assert Counter(job.status for job in client.jobs()) == {"running": 1, "cancelled": 2, "waiting": 1}

    running.process.kill()
    assert _ended(client, running.job) == "cancelled"
    assert third.end() == 0, third.errors
    assert _names(client, "north") == ["north-slow-1", "north-store-1", "north-web-1"], "late was not started"
    assert not any(row.state.running for row in client.containers("north"))
    for command in (running, killed):
        command.end()

    # Two stacks want one port: one gets it, the other says who has it, and gets it once the first is gone.
    port = free_port()
    (box.directory / "south" / "1.stack.yaml").write_text(_text("south", 1, port))
    (box.directory / "west" / "1.stack.yaml").write_text(_text("west", 1, port))
    rivals = {name: Command(box, box.directory / name, "-f", "1.stack.yaml", "up") for name in ("south", "west")}
    codes = {name: command.end() for name, command in rivals.items()}
    assert sorted(codes.values()) == [0, 1], {name: command.errors for name, command in rivals.items()}
    winner, loser = sorted(rivals, key=lambda name: codes[name])
    reasons = [line["error"]["reason"] for line in rivals[loser].lines if line.get("error")]
    assert set(reasons) == {"port-taken"}, reasons
    assert Command(box, box.directory / winner, "-f", "1.stack.yaml", "down").end() == 0
    assert Command(box, box.directory / loser, "-f", "1.stack.yaml", "up").end() == 0
    together(box, "-f", "1.stack.yaml", "down", "-v")
