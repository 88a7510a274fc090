"""What a host step takes along."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stackfile.build.host import tree
from stackfile.errors import ActionError


def paths(found: tree.HostTree) -> set[str]:
    return {file.path for file in found.files}


def test_a_shell() -> None:
    found = tree.resolve(["sh"], [])
    assert os.path.realpath("/bin/sh") in paths(found)
    assert {"/etc/passwd", "/etc/nsswitch.conf", "/tmp", "/proc", "/dev"} <= paths(found)
    by_path = {file.path: file for file in found.files}
    assert by_path["/tmp"].mode == 0o1777
    assert any(path.endswith("/libc.so.6") for path in paths(found))
    assert any("libnss_files" in path or "musl" in path for path in paths(found))
    assert found.programs == 1
    if os.path.islink("/bin"):
        assert by_path["/bin"].type == "symlink"


def test_the_same_machine_gives_the_same_digest() -> None:
    first = tree.resolve(["sh"], [])
    assert tree.resolve(["sh"], [], tree.hashed_before(first)).digest == first.digest


def test_scripts_bring_their_interpreter(tmp_path: Path) -> None:
    for name, line in (("one", "#!/bin/sh -e"), ("two", "#!/usr/bin/env sh")):
        (tmp_path / name).write_text(f"{line}\n")
        (tmp_path / name).chmod(0o755)
        found = tree.resolve([name], [], search=f"{tmp_path}:/usr/bin:/bin")
        assert {f"{tmp_path}/{name}", os.path.realpath("/bin/sh")} <= paths(found)


def test_python_brings_its_library_without_the_rest() -> None:
    found = tree.resolve(["python3"], [])
    library = next(os.path.dirname(path) for path in paths(found) if path.endswith("/os.py"))
    assert f"{library}/json/__init__.py" in paths(found)
    for part in ("/site-packages/", "/dist-packages/", "/idlelib/", "/test/", "/__pycache__/"):
        assert not [path for path in paths(found) if part in path and path.startswith(library)]


@pytest.mark.parametrize(
    ("programs", "host_paths"),
    [(["no-such-program"], []), (["/no/such/program"], []), ([], ["/no/such/path"]), ([], ["relative"])],
)
def test_missing(programs: list[str], host_paths: list[str]) -> None:
    with pytest.raises(ActionError) as caught:
        tree.resolve(programs, host_paths)
    assert caught.value.reason == "host-program-missing"


def test_a_program_that_appears_earlier_in_the_path_is_noticed(tmp_path: Path) -> None:
    from stackfile.build.host import files

    early, late = tmp_path / "early", tmp_path / "late"
    for directory in (early, late):
        directory.mkdir()
    (late / "tool").write_text("")
    (late / "tool").chmod(0o755)
    found = tree.resolve(["tool"], [], search=f"{early}:{late}")
    assert found.watched[f"{early}/tool"] == ()
    (early / "tool").write_text("")
    assert files.changed(found.watched)
