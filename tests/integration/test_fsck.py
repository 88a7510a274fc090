"""`system fsck`: what was tampered with is named, mended, and then nothing disagrees any more."""

from __future__ import annotations

import asyncio
import glob
import json
import os
import shutil
import socket
import sqlite3
import subprocess
from pathlib import Path

import pytest

from stackfile.engines.embedded.engine import EmbeddedEngine
from tests.conftest import Box
from tests.integration.engines import busybox, engine, spec
from tests.integration.test_engine_containers import started

pytestmark = pytest.mark.root

STACK = """name: demo
images:
  base:
    from: scratch
    steps:
      - host: {programs: [sh, sleep, cat]}
      - run: [sh, -c, "echo one >/one"]
services:
  web:
    image: base
    command: [sleep, "1000"]
    ports: ["127.0.0.1:@PORT@:80"]
    volumes: ["data:/data"]
    secrets: [token]
    stop_grace_period: 0s
  ended:
    image: base
    command: [sh, -c, ":"]
secrets:
  token: {generate: {length: 20}}
volumes:
  data: {}
"""
A, B, C, D, E = ("a1" * 32, "b2" * 32, "c3" * 32, "d4" * 32, "e5" * 32)
"""Ids that nothing has."""


def up(box: Box) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    box.stack(STACK.replace("@PORT@", str(port)))
    box.run("up", "-d")


def faults(box: Box, *options: str, code: int = 6) -> dict[str, set[str]]:
    """Subjects of what was found, by reason."""
    found: dict[str, set[str]] = {}
    for row in json.loads(box.run("system", "fsck", *options, "--json", code=code).stdout):
        assert row["found"]
        assert row["mend"]
        assert row["mended"] == (code == 0), row
        found.setdefault(row["reason"], set()).add(row["subject"])
    return found


def state(box: Box, *statements: str) -> None:
    with sqlite3.connect(f"{box.settings.root}/state.db", timeout=10) as database:
        for statement in statements:
            assert database.execute(statement).rowcount
    database.close()


def run_db(box: Box, *statements: str) -> None:
    with sqlite3.connect(f"{box.settings.run}/run.db", timeout=10) as database:
        for statement in statements:
            assert database.execute(statement).rowcount
    database.close()


def identity(box: Box, service: str) -> str:
    return next(str(row["id"]) for row in box.containers() if row["service"] == service)


def tamper_with_files(box: Box) -> dict[str, set[str]]:
    root, run = Path(box.settings.root), Path(box.settings.run)
    blobs, layers = root / "blobs" / "sha256", root / "layers"
    by_size = sorted(blobs.iterdir(), key=lambda path: path.stat().st_size)
    with by_size[-1].open("r+b") as file:
        file.seek(1000)
        file.write(b"XX")
    image = box.json("images")[0]["id"].removeprefix("sha256:")
    (blobs / image).unlink()
    (blobs / A).write_bytes(b"x")
    (layers / B).mkdir()
    (root / "containers" / C / "upper").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", root / "containers" / C], check=True)
    (run / "containers" / D).mkdir()
    os.mkfifo(run / "containers" / D / "stdout")
    for name in ("lost", "empty"):
        (root / "volumes" / name / "_data").mkdir(parents=True)
    (root / "volumes" / "lost" / "_data" / "kept").write_text("data")
    shutil.rmtree(root / "volumes" / "demo_data")
    ended = identity(box, "ended")
    shutil.rmtree(root / "containers" / ended)
    next((root / "files" / "demo" / "secret" / "token").iterdir()).write_bytes(b"other")
    (root / "files" / "stray").touch(0o600)
    (root / "key").chmod(0o644)
    return {
        "blob-damaged": {f"blob sha256:{by_size[-1].name}"},
        "blob-missing": {f"blob sha256:{image}"},
        "blob-unreferenced": {f"blob sha256:{A}"},
        "layer-unreferenced": {f"layer sha256:{B}"},
        "container-directory-unknown": {f"directory {root}/containers/{C}"},
        "mount-unknown": {f"mount {root}/containers/{C}"},
        "run-directory-unknown": {f"directory {run}/containers/{D}"},
        "volume-unknown": {"volume lost", "volume empty"},
        "volume-directory-missing": {"volume demo_data"},
        "container-directory-missing": {"container demo-ended-1"},
        "content-damaged": {"secret token of demo"},
        "content-unknown": {f"file {root}/files/stray"},
        "rights-wrong": {f"file {root}/key"},
    }


def tamper_with_rows(box: Box) -> dict[str, set[str]]:
    state(
        box,
        "UPDATE containers SET state = '{' WHERE name = 'demo-web-1'",
        "DELETE FROM containers WHERE name = 'demo-ended-1'",
        "INSERT INTO tags VALUES ('docker.io/library/x:y', 'sha256:00')",
        "UPDATE volumes SET record = '{' WHERE name = 'lost'",
        "INSERT INTO files VALUES ('demo', 'config', 'gone', 'hmac:00', 1)",
    )
    run_db(
        box,
        f"INSERT INTO intents (kind, key, data) VALUES ('engine.start', '{A}', '{{}}')",
        f"INSERT INTO leases VALUES ('n', '10.1.1.1', '{B}')",
        f"DELETE FROM leases WHERE owner = '{identity(box, 'web')}'",
        f"INSERT INTO running VALUES ('{C}', 1, 1)",
        "INSERT INTO ports VALUES ('nobody', 'tcp', '', 77)",
    )
    return {
        "record-missing": {"container demo-web-1", "container demo-ended-1"},
        "record-damaged": {"volume lost"},
        "tag-dangling": {"tag docker.io/library/x:y"},
        "content-missing": {"config gone of demo"},
        "intent-left": {f"intent engine.start {A[:12]}"},
        "lease-unknown": {f"leases of {B}"},
        "lease-missing": {"container demo-web-1"},
        "running-unknown": {"row of process 1"},
        "reservation-unknown": {"port *:77/tcp"},
    }


def tamper_with_kernel(box: Box) -> dict[str, set[str]]:
    table, prefix = box.settings.nft_table, box.settings.bridge_prefix
    bridge = next(row["interface"] for row in box.json("network", "ls") if row["name"] == "demo_default")
    commands = (
        f"nft add element inet {table} bridges {{ foo0 }}",
        f"nft add element inet {table} nets4 {{ 10.9.8.0/24 }}",
        f"nft add element inet {table} any4 {{ tcp . 6553 : 10.1.2.3 . 80 }}",
        f"nft delete element inet {table} bridges {{ {bridge} }}",
        f"ip link add {prefix}0123456789 type bridge",
        f"ip link add {prefix}v012345678 type veth peer name {prefix}v876543210",
    )
    for command in commands:
        subprocess.run(command.split(), check=True)
    groups = glob.glob(f"/sys/fs/cgroup/pids/{box.settings.cgroup_parent}") or [
        f"/sys/fs/cgroup/{box.settings.cgroup_parent}"
    ]
    os.mkdir(f"{groups[0]}/{E}")
    return {
        "cgroup-unknown": {f"cgroup {E}"},
        "element-unknown": {"element bridges foo0", "element nets4 0a090800"},
        "port-unknown": {"port *:6553/tcp"},
        "link-unknown": {f"link {prefix}0123456789", f"link {prefix}v012345678", f"link {prefix}v876543210"},
        "drift": {"network demo_default, elements"},
    }


@pytest.mark.usefixtures("apart")
def test_every_fault_is_named_and_mended(box: Box) -> None:
    up(box)
    assert faults(box, code=0) == {}
    pid = box.json("container", "inspect", "demo-web-1")[0]["state"]["pid"]
    expected = tamper_with_files(box)
    assert faults(box) == expected
    assert os.path.isdir(f"{box.settings.root}/volumes/empty"), "a look has changed something"
    mended = faults(box, "--repair", code=0)
    assert {reason: mended[reason] for reason in expected if reason != "blob-missing"} == {
        reason: rows for reason, rows in expected.items() if reason != "blob-missing"
    }
    assert Path(box.settings.root, "volumes/lost/_data/kept").read_text() == "data"
    expected = tamper_with_rows(box) | tamper_with_kernel(box)
    assert faults(box, "--quick") == expected
    assert faults(box, "--quick", "--repair", code=0).keys() >= expected.keys()
    assert faults(box, code=0) == {}
    assert box.json("container", "inspect", "demo-web-1")[0]["state"]["pid"] == pid
    box.run("up", "-d")
    assert box.run("plan", "--exit-code").returncode == 0


async def look(made: EmbeddedEngine, *, repair: bool = False, quick: bool = True) -> dict[str, tuple[str, bool]]:
    """Reason → (subject, whether it was mended)."""
    found = await made.fsck(repair=repair, quick=quick, progress=lambda text: None)
    return {fault.reason: (fault.subject, fault.mended) for fault in found}


def test_processes_and_layers_in_use() -> None:
    async def scenario() -> None:
        async with engine() as made:
            image = await busybox(made)
            registry = made._parts.registry
            container = registry.find(await started(made, spec("sleep", "60", name="web")))
            pid = container.state.pid
            blobs, layers = Path(made.settings.root, "blobs/sha256"), Path(made.settings.root, "layers")
            diff_id = (await made.image_get(image)).layers[0].removeprefix("sha256:")
            assert await look(made, quick=False) == {}

            # The layer below a running container stays as it is; its blob comes back from it.
            program = next(layers.glob(f"{diff_id}/**/busybox"))
            times = program.stat()
            (blobs / diff_id).unlink()
            program.chmod(0o700)
            assert await look(made, repair=True, quick=False) == {
                "blob-missing": (f"blob sha256:{diff_id}", False),
            }
            program.chmod(times.st_mode)
            assert await look(made, repair=True) == {"blob-missing": (f"blob sha256:{diff_id}", True)}
            program.chmod(0o700)
            assert await look(made, repair=True, quick=False) == {"layer-damaged": (f"layer sha256:{diff_id}", False)}

            # Something runs that the engine has forgotten, and something does not that it knows.
            registry._containers.pop(container.id)
            found = await look(made)
            assert found["process-unknown"] == (f"process {pid}", False)
            registry._containers[container.id] = container
            assert await look(made) == {}
            await made.container_kill(container.id)
            await asyncio.wait_for(made.container_wait(container.id), 20)
            await made._parts.cleanups.drain()
            registry.set_state(container, status="running", pid=pid)
            assert "process-missing" in await look(made)
            assert (await look(made, repair=True))["process-missing"] == ("container web", True)
            assert (container.state.status, container.state.exit_known) == ("exited", False)
            assert (await look(made, repair=True, quick=False))["layer-damaged"] == (f"layer sha256:{diff_id}", True)

            # An image that nobody uses and that cannot be mended is forgotten.
            await made.container_remove(container.id)
            (blobs / diff_id).unlink()
            shutil.rmtree(layers / diff_id)
            found = await look(made, repair=True)
            assert found["blob-missing"] == (f"blob sha256:{diff_id}", True)
            assert found["layer-missing"] == (f"layer sha256:{diff_id}", True)
            assert await made.image_list() == []
            assert await look(made, quick=False) == {}
            await busybox(made)

    asyncio.run(scenario())
