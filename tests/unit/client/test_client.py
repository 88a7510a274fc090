"""The client script: valid as sh and as Python, finds the Python beside it however it is reached."""

from __future__ import annotations

import ast
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[3] / "stackfile" / "client" / "stackfile"
# No engine runs there, whatever runs on this machine: the script starts a process of its own.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "STACKFILE_RUN": "/nonexistent"}
ALLOWED = {"sys", "posix", "_signal", "_socket", "termios", "select"}


SPY = """import json, os, sys
print(json.dumps({"argv": sys.argv[1:], "command": os.environ["STACKFILE_COMMAND"], "isolated": sys.flags.isolated,
                  "prefix": sys.prefix}))
sys.exit(7)
"""


def package(site: Path) -> None:
    """A `stackfile` that shows how it was started."""
    (site / "stackfile").mkdir(parents=True)
    (site / "stackfile" / "__init__.py").touch()
    (site / "stackfile" / "__main__.py").write_text(SPY)


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """The script directory of a virtual environment."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    root = tmp_path / "my env"
    found = root / "bin"
    found.mkdir(parents=True)
    package(root / "lib" / version / "site-packages")
    base = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    (root / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")
    (found / "python").symlink_to(base)
    shutil.copy(SCRIPT, found / "stackfile")
    return found


def run(program: str, *args: str, cwd: Path | str = "/", **environ: str) -> dict[str, Any]:
    result = subprocess.run([program, *args], cwd=cwd, env={**ENVIRONMENT, **environ}, capture_output=True, timeout=20)
    assert result.returncode == 7, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_absolute(scripts: Path) -> None:
    found = run(f"{scripts}/stackfile", "up", "a b", "", "-x")
    assert found == {
        "argv": ["up", "a b", "", "-x"],
        "command": f"{scripts}/stackfile",
        "isolated": 1,
        "prefix": str(scripts.parent),
    }


def test_relative_is_passed_on_as_typed(scripts: Path) -> None:
    found = run("./bin/stackfile", "ps", cwd=scripts.parent)
    assert (found["command"], found["prefix"]) == ("./bin/stackfile", str(scripts.parent))


def test_by_sh_without_a_slash(scripts: Path) -> None:
    assert run("sh", "stackfile", "ps", cwd=scripts)["prefix"] == str(scripts.parent)


def test_through_links(scripts: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "local"
    elsewhere.mkdir()
    (elsewhere / "first").symlink_to(scripts / "stackfile")
    (elsewhere / "stackfile").symlink_to("first")
    found = run("stackfile", "up", PATH=f"{elsewhere}:/usr/bin:/bin")
    assert found["prefix"] == str(scripts.parent)
    assert found["command"] == f"{elsewhere}/stackfile"


def test_only_python3_beside(scripts: Path) -> None:
    (scripts / "python").rename(scripts / "python3")
    assert run(f"{scripts}/stackfile")["prefix"] == str(scripts.parent)


@pytest.mark.skipif(not os.path.exists("/usr/bin/python3"), reason="no system Python")
def test_installed_for_a_user(tmp_path: Path) -> None:
    show = "import sys; print('python%d.%d' % sys.version_info[:2])"
    version = subprocess.run(
        ["/usr/bin/python3", "-c", show], capture_output=True, text=True, check=True
    ).stdout.strip()
    package(tmp_path / ".local" / "lib" / version / "site-packages")
    scripts = tmp_path / ".local" / "bin"
    scripts.mkdir()
    shutil.copy(SCRIPT, scripts / "stackfile")
    found = run(f"{scripts}/stackfile", "up", HOME=str(tmp_path))
    assert (found["argv"], found["isolated"]) == (["up"], 0)


@pytest.mark.skipif(shutil.which("sudo") is None or os.geteuid() != 0, reason="no sudo")
def test_under_sudo(scripts: Path) -> None:
    found = run("sudo", "bin/stackfile", "up", cwd=scripts.parent)
    assert (found["command"], found["prefix"]) == ("bin/stackfile", str(scripts.parent))


def test_bytes_that_are_no_text(scripts: Path) -> None:
    result = subprocess.run(
        [f"{scripts}/stackfile".encode(), b"\xff"], env={**ENVIRONMENT, "LC_ALL": "C"}, capture_output=True
    )
    assert json.loads(result.stdout)["argv"] == ["\udcff"]


def test_it_is_executable_and_short() -> None:
    assert SCRIPT.stat().st_mode & stat.S_IXUSR
    text = SCRIPT.read_text()
    assert text.startswith("#!/bin/sh\n")
    assert len(text.splitlines()) <= 200


def test_it_imports_next_to_nothing() -> None:
    tree = ast.parse(SCRIPT.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert names <= ALLOWED
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))


def test_sh_agrees() -> None:
    subprocess.run(["sh", "-n", "-c", SCRIPT.read_text().split('"""\n\n')[0]], check=True)
