"""A command of a newer version: the engine becomes that version's while containers run on, and no older one gets in."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import threading
import urllib.request
from pathlib import Path

import pytest

import stackfile
from stackfile.runtime.logs import Query, read_logs
from tests.conftest import Box
from tests.integration import quickstart
from tests.integration.processes import pids, until

pytestmark = pytest.mark.root

STACK = """name: demo
images:
  base:
    from: scratch
    steps:
      - host: {programs: [busybox]}
      - run: [busybox, mkdir, -p, /bin, /srv]
      - run: [busybox, --install, -s, /bin]
      - run: [/bin/sh, -c, "echo hello >/srv/index.html"]
services:
  web: {image: base, command: [httpd, -f, -p, "80", -h, /srv], ports: ["@PORT@:80"], stop_grace_period: 0s}
  terminal: {image: base, tty: true, stdin_open: true, command: [sh], stop_grace_period: 0s}
  writer:
    image: base
    command: [sh, -c, "i=0; while :; do i=$$((i+1)); echo $$i; usleep 5000; done"]
    stop_grace_period: 0s
  asker:
    image: base
    command: [sh, -c, "while :; do nslookup web >/dev/null 2>&1 && echo found || echo lost; usleep 20000; done"]
    stop_grace_period: 0s
  ends:
    image: base
    command: [sh, -c, "while [ ! -e /signals/go ]; do usleep 10000; done; exit 42"]
    volumes: ["./signals:/signals"]
  stubborn: {image: base, command: [sh, -c, "trap '' TERM; while :; do sleep 1; done"], stop_grace_period: 2s}
"""
NEWER = "99.0.0"


WATCH = """
import os, sys
HERE = os.path.dirname(__file__) + "/imports"
MODULES = ("stackfile.supervisor", "stackfile.daemon", "stackfile.runtime.shim", "stackfile.resolver",
           "stackfile.worker")
MAIN = os.getpid()

class Noter:
    @staticmethod
    def find_spec(name, path, target=None):
        if os.getpid() == MAIN:
            with open(f"{HERE}/{MAIN}", "a") as file:
                file.write(f"{name}\\n")

if any(name in sys.orig_argv for name in MODULES):
    sys.meta_path.insert(0, Noter)
"""
"""Notes what each of the engine's processes looks for on disk, by its pid."""


def version(box: Box, name: str, *, appended: dict[str, str]) -> str:
    """The interpreter of another version: a copy of the package in an environment of its own."""
    tree, environment = box.directory.parent / f"tree-{name}", box.directory.parent / f"venv-{name}"
    package = Path(stackfile.__file__).parent
    shutil.copytree(package, tree / "stackfile", ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in ({"__init__.py": f"\n__version__ = {name!r}\n"} | appended).items():
        with (tree / "stackfile" / path).open("a") as file:
            file.write(text)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    site = next(environment.glob("lib/python*/site-packages"))
    (site / "other.pth").write_text(f"{tree}\n{sysconfig.get_path('purelib')}\nimport watch_imports\n")
    (tree / "imports").mkdir()
    (tree / "watch_imports.py").write_text(WATCH)
    return f"{environment}/bin/python"


def popen(box: Box, python: str, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [python, "-I", "-m", "stackfile", *args],
        cwd=box.directory,
        env={**os.environ, **box.settings.environment()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(box: Box, python: str, *args: str, code: int = 0) -> tuple[str, str]:
    process = popen(box, python, *args)
    out, err = process.communicate(timeout=90)
    assert process.returncode == code, f"{out}\n{err}\n{box.logs()}"
    return out, err


def imported(box: Box, name: str) -> dict[str, list[str]]:
    """What each process of the engine, which is of version `name`, has imported."""
    directory = box.directory.parent / f"tree-{name}" / "imports"
    return {process: (directory / str(pid)).read_text().split() for process, pid in pids(box).items()}


def interpreters(box: Box) -> set[str]:
    """Of the engine's processes; {""} while one of them is missing."""
    found = set()
    for pid in pids(box).values():
        found.add(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode() if pid else "")
    return found


class Asker(threading.Thread):
    """Asks a published port, 20 times a second."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.url = f"http://127.0.0.1:{port}/"
        self.answers, self.failures = 0, [""][1:]
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.05):
            try:
                assert urllib.request.urlopen(self.url, timeout=20).read() == b"hello\n"
                self.answers += 1
            except OSError as error:
                self.failures.append(repr(error))


def lines(box: Box, identity: str) -> list[str]:
    chunks = read_logs(f"{box.settings.root}/containers/{identity}/logs", Query())
    return b"".join(chunk.data for chunk in chunks).decode().split()


def test_upgrade(box: Box) -> None:
    port = quickstart.free_port()
    (box.directory / "signals").mkdir()
    box.stack(STACK.replace("@PORT@", str(port)))
    box.run("up", "-d")
    before = {row["service"]: row for row in box.containers()}
    old = until(lambda: "" not in interpreters(box) and pids(box), "all processes", box)

    # What does not work is found out before anything has happened.
    broken = version(box, "98.0.0", appended={"runtime/shim.py": "\nraise RuntimeError('broken')\n"})
    _, complaint = run(box, broken, "ps", code=4)
    assert "broken" in complaint
    assert pids(box) == old

    newer = version(box, NEWER, appended={"store/schema.py": '\nSTATE = (*STATE, "CREATE TABLE later (x)")\n'})
    asker = Asker(port)
    asker.start()
    stopping = box.popen("stop", "stubborn")
    until(lambda: any(row["kind"] == "stop" for row in jobs(box)), "the job", box)
    upgrading = popen(box, newer, "ps", "-a", "--json")
    until(lambda: "becoming" in Path(box.settings.run, "supervisor.log").read_text(), "the upgrade", box, 60)
    (box.directory / "signals" / "go").touch()
    out, told = upgrading.communicate(timeout=90)
    assert upgrading.returncode == 0, told
    assert NEWER in told
    assert {row["service"] for row in json.loads(out)} == set(before)
    # It has waited for the job.
    assert stopping.communicate(timeout=30) is not None
    assert stopping.returncode == 0
    until(lambda: interpreters(box) == {newer}, "all processes of the new version", box)
    assert pids(box)["supervisor"] == old["supervisor"]
    until(lambda: state(box, newer)["ends"]["state"] == "exited", "an end", box)
    asker.ended.set()
    asker.join()
    assert (asker.failures, asker.answers > 5) == ([], True)

    # From here on nothing is imported any more, whatever is asked for.
    # The last of what the daemon loads when it serves already.
    until(lambda: "encodings.unicode_escape" in imported(box, NEWER)["daemon"], "what pulls need", box)
    until(lambda: pids(box)["worker"] and "tty" in imported(box, NEWER)["worker"], "a warm zygote", box)
    loaded, processes = imported(box, NEWER), pids(box)

    after = state(box, newer)
    running = ("web", "terminal", "writer", "asker")
    kept = {name: after[name]["pid"] for name in running}
    assert kept == {name: before[name]["pid"] for name in running}, f"{after}\n{box.logs()}"
    assert after["ends"]["exit_code"] == 42
    assert after["stubborn"]["exit_code"] == 137
    numbers = lines(box, before["writer"]["id"])
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    assert set(lines(box, before["asker"]["id"])) == {"found"}
    reached = len(numbers)
    until(lambda: len(lines(box, before["writer"]["id"])) > reached, "more lines", box)
    assert run(box, newer, "exec", "-T", "terminal", "cat", "/srv/index.html")[0] == "hello\n"
    assert run(box, newer, "system", "fsck")[0] == "Nothing disagrees.\n"
    assert "registry-unreachable" in run(box, newer, "--json", "image", "pull", "localhost:1/x", code=1)[0]
    run(box, newer, "up", "-d", "--scale", "web=2")
    run(box, newer, "down")
    assert pids(box) == processes
    late = {name: rows[len(loaded[name]) :] for name, rows in imported(box, NEWER).items()}
    assert not any(late.values()), late
    with sqlite3.connect(f"{box.settings.root}/state.db") as database:
        assert database.execute("SELECT * FROM later").fetchall() == []
    database.close()

    # The older one has no way in, nor back to a database that it does not know.
    refused = box.run("ps", code=4).stderr
    assert f"the daemon is version {NEWER}" in refused
    assert "hint:" in refused
    run(box, newer, "daemon", "stop", "--force")
    assert "schema" in box.run("ps", code=4).stderr
    # What did not come up is out of the way of the one that fits.
    assert run(box, newer, "ps", "-a")[0]


def jobs(box: Box) -> list[dict[str, str]]:
    from stackfile.api import connect

    with connect(f"unix://{box.settings.socket}", start=False) as client:
        return [{"kind": job.kind} for job in client.jobs() if job.status == "running"]


def state(box: Box, python: str) -> dict[str, dict[str, object]]:
    return {row["service"]: row for row in json.loads(run(box, python, "ps", "-a", "--json")[0])}
