"""Worker processes."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest

import stackfile
from stackfile import settings
from stackfile.engines.embedded.pool import WorkerPool, write
from stackfile.errors import ActionError, EngineError, UsageError
from stackfile.images import durable
from stackfile.kernel.process import is_alive, start_time


def test_work_is_done_elsewhere_and_workers_end_when_idle() -> None:
    pool = WorkerPool(2, idle=0.1)
    pids = {pool.submit(os.getpid).result(20) for _ in range(3)}
    assert os.getpid() not in pids
    deadline = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{pid}") for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)
    assert pool.submit(os.getpid).result(20) not in pids
    pool.shutdown()


def test_errors_come_back_whole() -> None:
    pool = WorkerPool(1)
    with pytest.raises(UsageError) as caught:
        pool.submit(settings.load, {"STACKFILE_ROOT": "relative"}).result(20)
    assert (caught.value.reason, caught.value.at, caught.value.stack) == ("bad-setting", None, ())
    pool.shutdown()


def test_the_death_of_a_worker_is_an_error_of_its_work_alone() -> None:
    pool = WorkerPool(1)
    with pytest.raises(ActionError) as caught:
        pool.submit(os._exit, 1).result(20)
    assert caught.value.reason == "internal"
    assert pool.submit(os.getpid).result(20)
    pool.shutdown()


def test_a_worker_of_another_version_does_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The package was replaced on disk: the engine is of the version that was there."""
    pool = WorkerPool(1)
    monkeypatch.setattr(stackfile, "__version__", "0.0.1")
    with pytest.raises(EngineError) as caught:
        pool.submit(os.mkdir, f"{tmp_path}/made").result(20)
    assert caught.value.reason == "engine-incompatible"
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    assert pool.submit(os.getpid).result(20)
    pool.shutdown()


def test_a_worker_whose_asker_died_ends_in_silence() -> None:
    command = [sys.executable, "-I", "-m", "stackfile.engines.embedded.pool_worker", stackfile.__version__]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdout.close()
    write(worker.stdin, pickle.dumps((os.getpid, (), {})))
    _, errors = worker.communicate(timeout=20)
    assert (worker.returncode, errors) == (0, b"")


_DIES = """
import os
from stackfile.images import durable
descriptor, _ = durable.temporary_file(directory, "tar-")
os.mkdir(durable.temporary_directory(directory, "layer-") + "/bin")
os._exit(1)
"""


def test_what_a_dead_worker_was_writing_is_deleted(tmp_path: Path) -> None:
    others = durable.temporary_directory(str(tmp_path), "layer-")
    pool = WorkerPool(1, bereaved=lambda pid: durable.sweep_of(str(tmp_path), pid))
    with pytest.raises(ActionError):
        pool.submit(exec, _DIES, {"directory": str(tmp_path)}).result(20)
    assert [str(path) for path in tmp_path.iterdir()] == [others]
    pool.shutdown()


def test_a_worker_ends_with_who_started_it() -> None:
    """In the midst of its work too: nobody would know what becomes of it."""
    script = (
        "import os, time; from stackfile.engines.embedded.pool import WorkerPool; pool = WorkerPool(1)\n"
        "print(pool.submit(os.getpid).result(20), flush=True); pool.submit(time.sleep, 60); time.sleep(60)"
    )
    asker = subprocess.Popen([sys.executable, "-I", "-c", script], stdout=subprocess.PIPE, text=True)
    assert asker.stdout is not None
    worker = int(asker.stdout.readline())
    started = start_time(worker)
    asker.kill()
    asker.communicate()
    deadline = time.monotonic() + 20
    while is_alive(worker, started):
        assert time.monotonic() < deadline
        time.sleep(0.01)
