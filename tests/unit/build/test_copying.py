"""Where copied files go: the table of Dockerfile's COPY."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackfile.build import copying
from stackfile.build.copying import Source, Target
from stackfile.errors import ActionError
from stackfile.images.archive import Member
from stackfile.images.view import MergedView
from tests.unit.images.kit import tree


def file(name: str) -> Source:
    return Source(name=name, entry=Member(path=name, type="file", mode=0o640))


def directory(name: str, *below: str) -> Source:
    members = tuple(
        Member(path=path.rstrip("/"), type="dir" if path.endswith("/") else "file", mode=0o750) for path in below
    )
    return Source(name=name, entry=Member(path=name, type="dir", mode=0o700), below=members)


@pytest.fixture
def view(tmp_path: Path) -> MergedView:
    root = tree(tmp_path / "image", {"dir/old": "", "file": "", "usr/lib/x": "", "lib": "→usr/lib", "w": None})
    return MergedView([str(root)])


def copied(view: MergedView, target: str, *sources: Source, working_dir: str = "", **options: object) -> list[str]:
    path, is_directory = copying.target_of(target, working_dir)
    goal = Target(path=path, directory=is_directory, **options)  # type: ignore[arg-type]
    with view:
        made = copying.members(sources, goal, view)
    return sorted(f"{member.path}/" if member.type == "dir" else member.path for member in made)


@pytest.mark.parametrize(
    ("target", "sources", "expected"),
    [
        ("/new", [file("a/f")], ["new"]),
        ("/new/", [file("a/f")], ["new/", "new/f"]),
        ("/dir", [file("a/f")], ["dir/f"]),
        ("/dir/", [file("f")], ["dir/f"]),
        ("/dir/old", [file("f")], ["dir/old"]),
        ("/file", [file("f")], ["file"]),
        ("/", [file("f")], ["f"]),
        ("//new", [file("f")], ["new"]),
        ("/a/b/c", [file("f")], ["a/", "a/b/", "a/b/c"]),
        ("/new", [directory("d", "x", "s/", "s/y")], ["new/", "new/s/", "new/s/y", "new/x"]),
        ("/dir", [directory("d", "x")], ["dir/x"]),
        ("/dir/", [directory("d", "x")], ["dir/x"]),
        ("/new", [directory("d")], ["new/"]),
        ("/new/", [file("a"), file("b/c")], ["new/", "new/a", "new/c"]),
        ("/dir", [file("a"), directory("d", "x")], ["dir/a", "dir/x"]),
        ("/lib", [file("f")], ["usr/lib/f"]),
        ("/lib/new", [file("f")], ["usr/lib/new"]),
        ("/", [directory("d", "lib/", "lib/y")], ["usr/lib/y"]),
        ("../../up", [file("f")], ["up"]),
    ],
)
def test_table(view: MergedView, target: str, sources: list[Source], expected: list[str]) -> None:
    assert copied(view, target, *sources) == expected


@pytest.mark.parametrize(
    ("working_dir", "target", "expected"),
    [("/w", "f2", ["w/f2"]), ("/w", "./", ["w/f"]), ("/w", ".", ["w/f"]), ("", "x", ["x"]), ("/n", "", ["n/", "n/f"])],
)
def test_relative_targets(view: MergedView, working_dir: str, target: str, expected: list[str]) -> None:
    assert copied(view, target, file("f"), working_dir=working_dir) == expected


@pytest.mark.parametrize(
    ("target", "sources"),
    [
        ("/new", [file("a"), file("b")]),
        ("/file/", [file("a")]),
        ("/file/x", [file("a")]),
        ("/file", [directory("d", "x")]),
        ("/", [directory("d", "dir")]),
    ],
)
def test_what_stands_in_the_way(view: MergedView, target: str, sources: list[Source]) -> None:
    with pytest.raises(ActionError) as caught:
        copied(view, target, *sources)
    assert caught.value.reason == "build-failed"


def test_owner_and_mode(view: MergedView) -> None:
    goal = Target(path="/a/b", directory=False, owner=(5, 6), mode=0o600)
    with view:
        made = {member.path: member for member in copying.members([directory("d", "x")], goal, view)}
    assert (made["a"].uid, made["a"].mode) == (0, 0o755)
    assert (made["a/b"].uid, made["a/b"].gid) == (5, 6)
    assert (made["a/b/x"].uid, made["a/b/x"].mode) == (5, 0o600)
