"""`fmt`: which files it lays out, what it prints, and how it writes."""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from stackfile import api
from stackfile.cli import main
from stackfile.errors import ConflictError
from stackfile.language import LoadOptions

UGLY = b"services:\n    web:  # the web\n        image:   x\n"
TIDY = b"services:\n  web:  # the web\n    image: x\n"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compose.yaml").write_bytes(UGLY)
    (tmp_path / "compose.override.yaml").write_bytes(TIDY)
    return tmp_path


def test_the_files_of_the_stack(files: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (files / "other.yaml").write_bytes(UGLY)
    assert main(["fmt", "--check"]) == 6
    assert capfd.readouterr().out == "compose.yaml\n"
    assert main(["--json", "fmt", "--check"]) == 6
    assert json.loads(capfd.readouterr().out) == {
        "files": [{"file": "compose.yaml", "changed": True}, {"file": "compose.override.yaml", "changed": False}]
    }
    assert (files / "compose.yaml").read_bytes() == UGLY
    assert main(["fmt"]) == 0
    assert capfd.readouterr().out == "compose.yaml\n"
    assert (files / "compose.yaml").read_bytes() == TIDY
    assert main(["fmt", "--check"]) == 0
    assert main(["-f", "other.yaml", "fmt", "--check"]) == 6
    assert main(["fmt", "compose.yaml", "other.yaml"]) == 0
    assert capfd.readouterr().out == "other.yaml\nother.yaml\n"


def test_difference_is_a_patch(files: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (files / "compose.yaml").write_bytes(UGLY.rstrip())
    assert main(["fmt", "--diff"]) == 0
    assert capfd.readouterr().out.splitlines() == [
        "--- compose.yaml", "+++ compose.yaml (formatted)", "@@ -1,3 +1,3 @@", " services:",
        "-    web:  # the web", "-        image:   x", "\\ No newline at end of file",
        "+  web:  # the web", "+    image: x",
    ]  # fmt: skip
    assert (files / "compose.yaml").read_bytes() == UGLY.rstrip()
    assert main(["fmt", "--diff", "--check"]) == 6


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(UGLY.replace(b"\n", b"\r\n"))))
    assert main(["fmt", "-"]) == 0
    assert capfdbinary.readouterr().out == TIDY.replace(b"\n", b"\r\n")
    assert main(["fmt", "-", "x"]) == 2


def test_nothing_is_written_where_one_file_is_wrong(files: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (files / "a.yaml").write_text("a: ]\n")
    (files / "b.yaml").write_text("a: 1\na: 2\n")
    assert main(["fmt", "compose.yaml", "a.yaml", "b.yaml", "missing.yaml"]) == 3
    told = capfd.readouterr().err
    assert [place for place in ("a.yaml:1:4", "b.yaml:2:1", "missing.yaml") if place not in told] == []
    assert (files / "compose.yaml").read_bytes() == UGLY


def test_mode_owner_attributes_and_links_stay(files: Path) -> None:
    path = files / "compose.yaml"
    os.chmod(path, 0o640)
    if os.geteuid() == 0:
        os.chown(path, 1234, 4321)
    with suppress(OSError):  # not every file system has them
        os.setxattr(path, "user.note", b"mine")
    attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    owner = (path.stat().st_uid, path.stat().st_gid)
    link = files / "link.yaml"
    link.symlink_to("compose.yaml")
    before = set(os.listdir(files))
    assert main(["fmt", "link.yaml"]) == 0
    status = path.stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o640, *owner)
    assert {name: os.getxattr(path, name) for name in os.listxattr(path)} == attributes
    assert link.is_symlink()
    assert path.read_bytes() == TIDY
    assert set(os.listdir(files)) == before


def test_a_file_that_is_edited_meanwhile_is_left_alone(files: Path) -> None:
    (item,) = api.formatted_files(LoadOptions(directory=str(files)), ["compose.yaml"])
    (files / "compose.yaml").write_bytes(UGLY + b"# more\n")
    before = set(os.listdir(files))
    with pytest.raises(ConflictError):
        api.write_formatted(item)
    assert (files / "compose.yaml").read_bytes() == UGLY + b"# more\n"
    assert set(os.listdir(files)) == before
