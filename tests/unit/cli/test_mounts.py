"""docker run -v, --mount, --tmpfs."""

from __future__ import annotations

import os

import pytest

from stackfile.cli.mounts import mount_of, parse_tmpfs, parse_volume
from stackfile.errors import UsageError
from stackfile.model.stack import Mount


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("/data", Mount(type="volume", target="/data")),
        ("data:/data", Mount(type="volume", source="data", target="/data")),
        ("data:/data:ro,nocopy", Mount(type="volume", source="data", target="/data", read_only=True, nocopy=True)),
        ("/srv/x:/x", Mount(type="bind", source="/srv/x", target="/x")),
        ("./x:/x:rw", Mount(type="bind", source="/here/x", target="/x")),
        ("../x:/x:rshared", Mount(type="bind", source="/x", target="/x", propagation="rshared")),
        ("~/x:/x", Mount(type="bind", source=os.path.expanduser("~/x"), target="/x")),
    ],
)
def test_volume(text: str, mount: Mount) -> None:
    assert parse_volume(text, "/here") == mount


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("type=bind,src=/a,dst=/b,readonly",
         Mount(type="bind", source="/a", target="/b", read_only=True, create_host_path=False)),
        ("source=data,target=/b,volume-nocopy",
         Mount(type="volume", source="data", target="/b", nocopy=True, create_host_path=False)),
        ("type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=0700",
         Mount(type="tmpfs", target="/t", tmpfs_size=64 << 20, tmpfs_mode=0o700, create_host_path=False)),
    ],
)  # fmt: skip
def test_mount(text: str, mount: Mount) -> None:
    assert mount_of(text, "/here") == mount


def test_tmpfs() -> None:
    assert parse_tmpfs("/t") == Mount(type="tmpfs", target="/t")
    assert parse_tmpfs("/t:size=1m,mode=700,noexec") == Mount(
        type="tmpfs", target="/t", tmpfs_size=1 << 20, tmpfs_mode=0o700, tmpfs_options="noexec"
    )


@pytest.mark.parametrize("text", ["x:y", "a:/b:what", "a:/b:ro:x", ":/x"])
def test_wrong_volume(text: str) -> None:
    with pytest.raises(UsageError):
        parse_volume(text, "/")


@pytest.mark.parametrize("text", ["type=npipe,target=/x", "type=bind,target=/x", "target=x", "target=/x,colour=red"])
def test_wrong_mount(text: str) -> None:
    with pytest.raises(UsageError):
        mount_of(text, "/")
