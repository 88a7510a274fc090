import os
import sys
from pathlib import Path

import pytest

import stackfile
from stackfile.api import launch
from stackfile.api.client import Client
from stackfile.api.http import Address, Transport
from stackfile.errors import EngineError, UsageError


def test_the_same_version_is_accepted() -> None:
    launch.check_version(stackfile.__version__, launch.API)


@pytest.mark.parametrize(
    ("version", "api", "word"),
    [("0.0.1", 1, "daemon stop"), ("99.0", 1, "newer version"), (stackfile.__version__, 2, "daemon stop")],
)
def test_another_version_is_refused_with_the_way_out(version: str, api: int, word: str) -> None:
    with pytest.raises(EngineError) as caught:
        launch.check_version(version, api)
    assert (caught.value.reason, caught.value.exit_code) == ("engine-incompatible", 4)
    assert word in caught.value.hint


@pytest.mark.parametrize("server", ["stackfile/0.0.1 (linux)", "Docker/20.10.5 (linux)", ""])
def test_an_answer_says_by_whom(server: str) -> None:
    greeting = launch._Greeting(Client(Transport(Address(path="/nonexistent"))))
    assert greeting.asking("GET", "/x") == {launch.VERSION_HEADER: stackfile.__version__}
    assert greeting.asking("POST", "/stackfile/v1/jobs")
    with pytest.raises(EngineError) as caught:
        greeting.answered(server)
    assert caught.value.reason == "engine-incompatible"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def make(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_exact_line_to_type(programs: Path) -> None:
    make(programs / "sudo")
    error = launch.not_permitted(Address(path="/run/x"), [".venv/bin/stackfile", "up", "--set", "a=b c"], 1000)
    assert (error.reason, error.exit_code) == ("not-permitted", 4)
    assert error.message == "the embedded engine needs root, and no daemon answers at /run/x"
    first, second, third = error.hint.splitlines()
    assert (first, second) == ("you are: uid 1000", "try:     sudo .venv/bin/stackfile up --set 'a=b c'")
    assert third.startswith('or:      sudo .venv/bin/stackfile daemon install --group "$(id -gn)"   (once; ')


def test_su_where_there_is_no_sudo(programs: Path) -> None:
    assert launch.as_root([".venv/bin/stackfile", "up"]) == "su -c '.venv/bin/stackfile up'"
    hint = launch.not_permitted(Address(path="/run/x"), [".venv/bin/stackfile", "up"], 1000).hint
    assert 'su -c ".venv/bin/stackfile daemon install --group $(id -gn)"' in hint


def test_a_module_is_named_as_such(programs: Path) -> None:
    make(programs / "sudo")
    line = launch.as_root([stackfile.__file__.replace("__init__", "__main__"), "ps"])
    assert line == f"sudo {sys.executable} -m stackfile ps"


def test_an_absolute_path_below_here_is_shown_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = make(tmp_path / ".venv/bin/stackfile")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    assert launch.as_root([str(program)]).endswith("'.venv/bin/stackfile'") or "-c .venv" in launch.as_root(
        [str(program)]
    )


def test_a_named_host_is_never_started(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        launch.connect(f"unix://{tmp_path}/none", environ={})
    assert caught.value.reason == "engine-unreachable"


def test_a_bad_host_is_a_wrong_setting() -> None:
    with pytest.raises(UsageError):
        launch.connect(environ={"STACKFILE_HOST": "nonsense"})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may start the engine")
def test_without_root_and_daemon(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        launch.connect(environ={"STACKFILE_RUN": str(tmp_path)})
    assert caught.value.reason == "not-permitted"


def test_without_start_root_is_told_that_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(EngineError) as caught:
        launch.connect(start=False, environ={"STACKFILE_RUN": str(tmp_path)})
    assert caught.value.reason == "engine-unreachable"


def test_another_user_is_told_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    with pytest.raises(EngineError) as caught:
        launch.connect(environ={"STACKFILE_RUN": str(tmp_path)}, command=["stackfile", "ps"])
    assert caught.value.reason == "not-permitted"
    assert "uid 1234" in caught.value.hint
