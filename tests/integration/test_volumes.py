"""Volumes, bind mounts and tmpfs: what a container sees, what is left when it goes."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stackfile.engines.embedded.engine import EmbeddedEngine
from stackfile.errors import ActionError, NotFoundError
from stackfile.model.container import ContainerSpec, VolumeRecord
from stackfile.model.stack import ImageResource, Mount, Step
from tests.conftest import Box
from tests.integration.engines import BUSYBOX, engine, logs, run, spec

pytestmark = pytest.mark.root

VOLUBLE = ImageResource(
    name="voluble",
    base="busybox",
    base_is_stack_image=True,
    steps=(Step(kind="volume", argv=("/data", "/vol")),),
    tags=("voluble:latest",),
)
STACK = """
images:
  base:
    from: scratch
    steps:
      - host: {programs: [busybox]}
      - run: [busybox, mkdir, -p, /bin, /data]
      - run: [busybox, --install, -s, /bin]
      - volume: /data
services:
  app:
    image: base
    command: [sleep, "1000"]
    stop_grace_period: 0s
    environment: {ROUND: "%s"}
    volumes:
      - /anonymous
      - named:/named
volumes: {named: {}}
"""


@asynccontextmanager
async def voluble() -> AsyncIterator[EmbeddedEngine]:
    async with engine() as made:
        for name in ("busybox", "voluble"):
            await made.image_build({**BUSYBOX, "voluble": VOLUBLE}, name)
        yield made


async def exists(made: EmbeddedEngine, *names: str) -> list[bool]:
    there = {volume.name for volume in await made.volume_list()}
    return [name in there for name in names]


def of(image: str, *argv: str, **fields: object) -> ContainerSpec:
    """A container of one of the images."""
    return replace(spec(*argv, **fields), image=f"{image}:latest", image_name=image)  # type: ignore[arg-type]


def test_anonymous_and_named_volumes() -> None:
    async def body() -> None:
        async with voluble() as made:
            own = (Mount(type="volume", target="/own"), Mount(type="volume", source="kept", target="/vol"))
            identity = await made.container_create(of("voluble", "touch", "/own/mine", name="a", mounts=own))
            volumes = (await made.container_get(identity)).volumes
            # Of the image's volumes /vol has a named one; /data and /own have no name.
            assert set(volumes) == {"/own", "/data", "/vol"}
            assert volumes["/vol"] == "kept"
            unnamed: tuple[str, ...] = (volumes["/own"], volumes["/data"])
            assert all([(await made.volume_get(name)).anonymous for name in unnamed])
            for _ in range(2):  # a restart keeps them
                await made.container_start(identity)
                await made.container_wait(identity)
            assert (await made.container_get(identity)).volumes == volumes
            seed = Path((await made.volume_get(volumes["/data"])).mountpoint) / "seed"
            assert seed.read_text() == "seed\n"
            assert (seed.stat().st_uid, stat.S_IMODE(seed.parent.stat().st_mode)) == (7, 0o750)
            await made.container_remove(identity)
            assert await exists(made, *unnamed, "kept") == [True, True, True]
            for name in unnamed:
                await made.volume_remove(name)
            # With `-v`, and with auto_remove (`--rm`), the unnamed go along.
            for automatic in (False, True):
                again = await made.container_create(of("voluble", "true", name="b", mounts=own, auto_remove=automatic))
                unnamed = tuple(v for t, v in (await made.container_get(again)).volumes.items() if t != "/vol")
                await made.container_start(again)
                await made.container_wait(again, "removed" if automatic else "not-running")
                if not automatic:
                    await made.container_remove(again, volumes=True)
                assert await exists(made, *unnamed, "kept") == [False, False, True]
                with pytest.raises(NotFoundError):
                    await made.container_get(again)

    asyncio.run(body())


def test_nocopy_subpath_and_tmpfs() -> None:
    async def body() -> None:
        async with voluble() as made:
            parts = Path((await made.volume_create(VolumeRecord(name="parts"))).mountpoint)
            (parts / "inner" / "deep").mkdir(parents=True)
            (parts / "inner" / "deep" / "file").write_text("deep\n")
            (parts / "out").symlink_to("/etc")
            mounts = (
                Mount(type="volume", source="empty", target="/data", nocopy=True),
                Mount(type="volume", source="parts", target="/deep", subpath="inner/deep", read_only=True),
                Mount(type="volume", source="parts", target="/one", subpath="inner/deep/file"),
                Mount(type="tmpfs", target="/t1", tmpfs_size=1 << 20, tmpfs_mode=0o700),
                Mount(type="tmpfs", target="/t2", tmpfs_options="size=2m,mode=750,uid=7,gid=8,exec"),
                Mount(type="tmpfs", target="/t3", read_only=True),
            )
            script = (
                "ls /data; cat /deep/file /one; touch /deep/x 2>/dev/null || echo no;"
                "stat -c '%a %u %g' /t1 /t2; df -k /t1 /t2 | awk 'NR > 1 {print $2}';"
                "touch /t3/x 2>/dev/null || echo no; grep -c noexec /proc/mounts >/dev/null;"
                'awk \'$2 ~ /^.t[12]$/ {print $2, ($4 ~ /noexec/) ? "noexec" : "exec"}\' /proc/mounts'
            )
            code, output = await run(made, of("busybox", "sh", "-c", script, mounts=mounts))
            assert code == 0
            assert output.splitlines() == [
                "deep", "deep", "no", "700 0 0", "750 7 8", "1024", "2048", "no", "/t1 noexec", "/t2 exec",
            ]  # fmt: skip
            for path in ("missing", "out", "../../other"):
                wrong = Mount(type="volume", source="parts", target="/x", subpath=path)
                with pytest.raises(ActionError) as caught:
                    await run(made, of("busybox", "ls", "/x", mounts=(wrong,)))
                assert caught.value.reason in ("action-failed", "not-found"), path

    asyncio.run(body())


def test_binds(tmp_path: Path) -> None:
    async def body() -> None:
        async with voluble() as made:
            tree, single = tmp_path / "tree", tmp_path / "single"
            (tree / "sub").mkdir(parents=True)
            single.write_text("one\n")
            await asyncio.to_thread(_mount, str(tree))
            try:
                mounts = (
                    Mount(type="bind", source=str(tree), target="/tree", propagation="rslave"),
                    Mount(type="bind", source=str(tree), target="/still"),
                    Mount(type="bind", source=str(tree), target="/both", propagation="rshared"),
                    Mount(type="bind", source=str(single), target="/etc/single", read_only=True),
                    Mount(type="bind", source=str(single), target="/etc/writable"),
                    Mount(type="bind", source=str(tmp_path / "made" / "here"), target="/made"),
                )
                script = (
                    "cat /etc/single; echo no > /etc/single || echo refused; echo two > /etc/writable;"
                    "touch /made/x; mount -t tmpfs inner /both/back && touch /both/back/z; echo ready;"
                    "while [ ! -e /tree/go ]; do sleep 0.05; done; ls /tree/sub /still/sub"
                )
                (tree / "back").mkdir()
                identity = await made.container_create(
                    of("busybox", "sh", "-c", script, mounts=mounts, cap_add=("SYS_ADMIN",), privileged=True)
                )
                await made.container_start(identity)
                while "ready" not in await logs(made, identity):
                    await asyncio.sleep(0.02)
                assert (tree / "back" / "z").exists()  # rshared: mounts of the container reach the host
                await asyncio.to_thread(
                    subprocess.run, ["mount", "-t", "tmpfs", "outer", str(tree / "sub")], check=True
                )
                (tree / "sub" / "y").touch()
                (tree / "go").touch()
                await made.container_wait(identity)
                said = await logs(made, identity)
                assert said.split()[-3:] == [
                    "/still/sub:",
                    "/tree/sub:",
                    "y",
                ]  # rslave sees it, rprivate not
                assert said.splitlines()[0] == "one"
                assert "refused" in said
                assert single.read_text() == "two\n"
                assert (tmp_path / "made" / "here" / "x").exists()
                await made.container_remove(identity)
            finally:
                await asyncio.to_thread(subprocess.run, ["umount", "-R", str(tree)], check=False)
            strict = Mount(type="bind", source=str(tmp_path / "not"), target="/x", create_host_path=False)
            with pytest.raises(ActionError) as caught:
                await run(made, of("busybox", "true", mounts=(strict,)))
            assert caught.value.reason == "not-found"
            assert not (tmp_path / "not").exists()

    asyncio.run(body())


def _mount(path: str) -> None:
    """Make a directory a mount of its own, which passes mounts on."""
    subprocess.run(["mount", "-t", "tmpfs", "tree", path], check=True)
    subprocess.run(["mount", "--make-shared", path], check=True)
    os.mkdir(f"{path}/sub")


def test_recreation_carries_volumes_over(box: Box) -> None:
    box.stack(STACK % "one")
    box.run("up", "-d")
    (before,) = box.containers()
    write = "echo kept > /anonymous/x; echo kept > /data/x; echo kept > /named/x; echo gone > /x"
    box.run("exec", "app", "sh", "-c", write)
    box.stack(STACK % "two")
    box.run("up", "-d")
    (after,) = box.containers()
    assert before["id"] != after["id"]
    read = "cat /anonymous/x /data/x /named/x; ls /x 2>&1; echo $ROUND"
    said = box.run("exec", "app", "sh", "-c", read).stdout.split("\n")
    assert said[:3] == ["kept"] * 3
    assert "No such file" in said[3]
    assert said[4] == "two"
