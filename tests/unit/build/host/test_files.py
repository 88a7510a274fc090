"""Files of this machine: the way to them, and how a change is noticed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from stackfile.build.host import files
from stackfile.build.host.files import Collector
from stackfile.errors import ActionError
from tests.unit.images.kit import tree


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tree(tmp_path / "m", {"usr/bin/tool-1": "x", "usr/bin/tool": "→tool-1", "bin": "→usr/bin", "d/a": ""})


def age(path: Path) -> None:
    """Make a tree look as if it had been left alone for long enough to be believed."""
    time.sleep(0.06)
    assert path.exists()


def test_links_on_the_way_are_taken_along(place: Path) -> None:
    collector = Collector()
    real = collector.bring(f"{place}/bin/tool")
    assert real == f"{place}/usr/bin/tool-1"
    assert collector.files[f"{place}/bin"].target == "usr/bin"
    assert collector.files[f"{place}/usr/bin/tool"].target == "tool-1"
    assert collector.files[real].type == "file"
    assert collector.files[f"{place}/usr"].mode == 0o755
    assert collector.aliases[f"{place}/bin/tool"] == real


def test_doubled_slashes(place: Path) -> None:
    assert Collector().bring(f"/{place}//bin/./tool") == f"{place}/usr/bin/tool-1"


def test_nothing_changed(place: Path) -> None:
    age(place)
    collector = Collector()
    collector.bring(f"{place}/bin/tool")
    collector.list(f"{place}/d")
    assert collector.absent(f"{place}/nowhere")
    assert not files.changed(collector.watched)


@pytest.mark.parametrize(
    "change",
    [
        lambda place: (place / "usr/bin/tool-1").write_text("y"),
        lambda place: (place / "usr/bin/tool-1").chmod(0o700),
        lambda place: (place / "usr/bin/tool").unlink(),
        lambda place: (place / "d/new").write_text(""),
        lambda place: (place / "nowhere").write_text(""),
        lambda place: (place / "usr").chmod(0o700),
        lambda place: os.utime(place / "usr/bin/tool-1", (1, 1)),
    ],
)
def test_a_change_is_noticed(place: Path, change: object) -> None:
    age(place)
    collector = Collector()
    collector.bring(f"{place}/bin/tool")
    collector.list(f"{place}/d")
    collector.absent(f"{place}/nowhere")
    change(place)  # type: ignore[operator]
    assert files.changed(collector.watched)


def test_a_file_that_was_just_written_is_not_believed(place: Path) -> None:
    (place / "usr/bin/tool-1").write_text("fresh")
    collector = Collector()
    collector.bring(f"{place}/bin/tool")
    assert files.changed(collector.watched)


def test_known_digests_are_kept(place: Path) -> None:
    path = f"{place}/usr/bin/tool-1"
    seen = files.look(path)
    collector = Collector(hashed={path: (seen, "sha256:known")})
    collector.bring(path)
    assert collector.files[path].digest == "sha256:known"


def test_a_loop_of_links(tmp_path: Path) -> None:
    tree(tmp_path, {"a": "→b", "b": "→a"})
    with pytest.raises(ActionError):
        Collector().bring(f"{tmp_path}/a")


def test_special_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    with pytest.raises(ActionError):
        Collector().bring(f"{tmp_path}/p")
