"""Files of containers by the real docker client: cp, diff, commit, export, import; running and stopped."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.daemons import Served, needs_docker, served

__all__ = ["served"]
pytestmark = [pytest.mark.root, pytest.mark.peer, needs_docker]


@pytest.fixture(autouse=True)
def cleared(served: Served) -> Iterator[None]:
    yield
    served.clear()


@pytest.fixture(params=["running", "stopped"])
def container(served: Served, request: pytest.FixtureRequest) -> str:
    """A container with a volume and a bind mount, some files and a few traps."""
    script = (
        "mkdir -p /d/sub; echo one > /d/one; echo two > /d/sub/two; ln -s one /d/link; chmod 4711 /d/sub/two; "
        "ln -s /etc /d/absolute; ln -s ../../../../../../etc /up; mkdir -p /etc; echo inside > /etc/marker; "
        "echo v > /vol/file; sleep 1000"
    )
    share = str(served.box.directory)
    served.docker("run", "-d", "--name", "c", "-v", "/vol", "-v", f"{share}:/bound", "busybox", "sh", "-c", script)
    served.docker("exec", "c", "sh", "-c", "while ! test -e /vol/file; do sleep 0.05; done")
    if request.param == "stopped":
        served.docker("stop", "-t", "0", "c")
    return "c"


def test_copies_out(served: Served, container: str, tmp_path: Path) -> None:
    served.docker("cp", "c:/d/one", str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "one\n"
    served.docker("cp", "c:/d", str(tmp_path))
    assert (tmp_path / "d/sub/two").read_text() == "two\n"
    assert os.readlink(tmp_path / "d/link") == "one"
    assert (tmp_path / "d/sub/two").stat().st_mode & 0o7777 == 0o4711
    served.docker("cp", "c:/d/.", str(tmp_path / "content"))
    assert (tmp_path / "content/one").exists()
    served.docker("cp", "c:/vol/file", str(tmp_path / "v"))
    assert (tmp_path / "v").read_text() == "v\n"
    served.docker("cp", "-L", "c:/d/link", str(tmp_path / "followed"))
    assert (tmp_path / "followed").read_text() == "one\n"
    missing = served.docker("cp", "c:/nothing", str(tmp_path), code=1)
    assert "nothing" in missing.stderr


@pytest.mark.parametrize("path", ["/d/absolute/marker", "/up/marker", "/../../etc/marker"])
def test_links_stay_inside(served: Served, container: str, tmp_path: Path, path: str) -> None:
    served.docker("cp", f"c:{path}", str(tmp_path / "x"))
    assert (tmp_path / "x").read_text() == "inside\n"


def test_copies_in(served: Served, container: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep/file").write_text("hello")
    (source / "deep/file").chmod(0o640)
    os.symlink("deep/file", source / "link")
    served.docker("cp", str(source), "c:/new")
    served.docker("cp", str(source / "deep/file"), "c:/d/absolute/copied")
    served.docker("cp", str(source / "deep"), "c:/vol")
    served.docker("cp", str(source / "deep/file"), "c:/bound/landed")
    assert (served.box.directory / "landed").read_text() == "hello"
    assert not Path("/etc/copied").exists()
    served.docker("start", "c")
    shown = served.docker(
        "exec", "c", "sh", "-c", "cat /new/link /etc/copied /vol/deep/file; stat -c '%a %u' /new/deep/file"
    )
    assert shown.stdout == "hellohellohello640 0\n"
    refused = served.docker("cp", str(source / "deep/file"), "c:/nowhere/x", code=1)
    assert "nowhere" in refused.stderr


def test_archives_that_lead_outside_are_refused(served: Served, container: str) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../../escaped"), io.BytesIO())
    out.seek(0)
    refused = subprocess.run(
        [*served.command("cp", "-", "c:/d")], input=out.read(), capture_output=True, env=served.environment()
    )
    assert refused.returncode == 1
    assert b"escaped" in refused.stderr


def test_changes_export_and_commit(served: Served, container: str, tmp_path: Path) -> None:
    lines = served.docker("diff", "c").stdout.splitlines()
    assert "A /d/one" in lines
    served.docker("commit", "-c", "CMD cat /d/one", "-m", "why", "c", "made:1")
    assert served.docker("run", "--rm", "made:1").stdout == "one\n"
    assert json.loads(served.docker("inspect", "made:1").stdout)[0]["Comment"] == "why"
    archive = tmp_path / "export.tar"
    served.docker("export", "-o", str(archive), "c")
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    assert "d/one" in names
    assert "vol/file" not in names
    with archive.open("rb") as file:
        subprocess.run(served.command("import", "-c", "CMD cat /d/one", "-", "flat:1"), stdin=file, check=True,
                       env=served.environment(), capture_output=True)  # fmt: skip
    assert served.docker("run", "--rm", "flat:1").stdout == "one\n"
    served.docker("rmi", "made:1", "flat:1")


def test_a_deleted_file_is_one(served: Served) -> None:
    served.docker("run", "--name", "c", "busybox", "rm", "/data/seed")
    assert "D /data/seed" in served.docker("diff", "c").stdout.splitlines()
    served.docker("commit", "c", "without")
    assert served.docker("run", "--rm", "without", "ls", "/data").stdout == ""
    served.docker("rmi", "without")


def test_a_read_only_root_takes_nothing(served: Served, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    served.docker("run", "-d", "--name", "c", "--read-only", "-v", "/vol", "busybox", "sleep", "1000")
    refused = served.docker("cp", str(tmp_path / "x"), "c:/x", code=1)
    assert "read-only" in refused.stderr
    served.docker("cp", str(tmp_path / "x"), "c:/vol/x")
