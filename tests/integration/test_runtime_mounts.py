"""The mount layer by itself, each test in a mount namespace of its own."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from stackfile.errors import KernelError
from stackfile.kernel import mounts, syscalls
from stackfile.runtime.child import inside

pytestmark = pytest.mark.root


def apart(action: Callable[[], None]) -> None:
    """Run `action` in a child with its own mounts."""
    pid = os.fork()
    if pid == 0:
        try:
            syscalls.unshare(syscalls.NEWNS)
            mounts.set_propagation("/", mounts.MS_PRIVATE | mounts.MS_REC)
            action()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def layers(directory: Path, count: int) -> list[str]:
    """Layer directories with awkward names, each with a file of its own and one in common; topmost first."""
    made = []
    for number in range(count):
        layer = directory / f"layers,{number}:of" / "tree"
        layer.mkdir(parents=True)
        (layer / f"own{number}").write_text(str(number))
        (layer / "common").write_text(str(number))
        made.append(str(layer))
    for name in ("upper", "work", "merged"):
        (directory / name).mkdir()
    return made[::-1]


@pytest.mark.parametrize("mount", [mounts.overlay, mounts._overlay_by_mount])
def test_overlay(tmp_path: Path, mount: Callable[[list[str], str, str, str], None]) -> None:
    lower = layers(tmp_path, 40)

    def action() -> None:
        before = os.getcwd()
        mount(lower, str(tmp_path / "upper"), str(tmp_path / "work"), str(tmp_path / "merged"))
        assert os.getcwd() == before
        assert (tmp_path / "merged/common").read_text() == "39"
        assert len(list((tmp_path / "merged").iterdir())) == 41
        (tmp_path / "merged/new").write_text("x")
        assert (tmp_path / "upper/new").exists()

    apart(action)


def test_failures_carry_the_kernels_words(tmp_path: Path) -> None:
    def action() -> None:
        with pytest.raises(KernelError) as caught:
            mounts.overlay([str(tmp_path / "none")], str(tmp_path), str(tmp_path), str(tmp_path))
        assert "none" in str(caught.value) or str(tmp_path) in str(caught.value)
        with pytest.raises(KernelError) as unknown, mounts.FileSystem("tmpfs") as fs:
            fs.set("nonsense", "1")
        assert "nonsense" in str(unknown.value)

    apart(action)


def test_many_layers(tmp_path: Path) -> None:
    lower = layers(tmp_path, 400)
    apart(lambda: mounts.overlay(lower, str(tmp_path / "upper"), str(tmp_path / "work"), str(tmp_path / "merged")))


def test_targets_are_made_inside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "absolute").symlink_to("/made")
    (root / "up").symlink_to("../../../../../../../..")
    fd = os.open(root, os.O_PATH)
    os.close(inside.ensure(fd, "/made/by/us", directory=True))
    os.close(inside.ensure(fd, "/absolute/file", directory=False))
    os.close(inside.ensure(fd, "/up/etc/sftest", directory=False))
    # Links that lead to nothing: what they lead to is made, never outside.
    (root / "sbin").symlink_to("usr/sbin")
    (root / "first").symlink_to("/second")
    (root / "second").symlink_to(f"../../../..{tmp_path}/outside")
    os.close(inside.ensure(fd, "/sbin/docker-init", directory=False))
    os.close(inside.ensure(fd, "/first/file", directory=False))
    (root / "ring").symlink_to("ring")
    with pytest.raises(KernelError):
        inside.ensure(fd, "/ring/file", directory=False)
    os.close(fd)
    assert (root / "usr/sbin/docker-init").is_file()
    assert Path(f"{root}{tmp_path}/outside/file").is_file()
    assert os.listdir(tmp_path) == ["root"]
    assert (root / "made/by/us").is_dir()
    assert (root / "made/file").is_file()
    assert (root / "etc/sftest").is_file()
    assert not os.path.exists("/etc/sftest")
