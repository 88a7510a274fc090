"""Images as archives: ours to Docker's and back, layouts, compression, refusals."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
import zstandard

from stackfile.errors import ActionError, StackfileError
from stackfile.model.image import Transfer
from tests.integration.daemons import Served, needs_docker, served
from tests.peers import Docker, dockerd, need

__all__ = ["served"]
pytestmark = [pytest.mark.root, pytest.mark.peer, needs_docker]


def chunks(data: bytes):  # type: ignore[no-untyped-def]
    yield data[: len(data) // 2]
    yield data[len(data) // 2 :]


def archive(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return out.getvalue()


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def saved(served: Served, *names: str, compress: str = "") -> bytes:
    return b"".join(served.client.save_images(names, compress=compress))


def test_ours_to_docker_and_back(served: Served, tmp_path: Path) -> None:
    """The same id on both sides, and it runs on both."""
    identity = served.client.image("busybox").id
    # A short path: containerd's sockets lie below it.
    with dockerd(served.box.directory.parent / "d") as peer:
        for compress in ("", "gzip"):
            path = tmp_path / "ours.tar"
            path.write_bytes(saved(served, "busybox", compress=compress))
            assert "Loaded image: busybox:latest" in peer.cli("load", "-i", str(path)).stdout
            assert peer.cli("inspect", "-f", "{{.Id}}", "busybox:latest").stdout.strip() == identity
            ran = peer.cli("run", "--rm", "--network", "none", "busybox:latest", "cat", "/data/seed")
            assert ran.stdout == "seed\n"
            assert _owner(peer) == "7 8 750\n"
            peer.cli("rmi", "-f", "busybox:latest")
        _docker_to_ours(served, peer, tmp_path)


def _owner(peer: Docker) -> str:
    return peer.cli("run", "--rm", "--network", "none", "busybox:latest", "stat", "-c", "%u %g %a", "/data").stdout


def _docker_to_ours(served: Served, peer: Docker, directory: Path) -> None:
    """An image of three layers with a whiteout, made by Docker itself."""
    context = directory / "context"
    context.mkdir()
    (context / "a").write_text("first\n")
    (context / "b").write_text("second\n")
    (context / "busybox").write_bytes(Path(need("busybox")).read_bytes())
    (context / "busybox").chmod(0o755)
    (context / "Dockerfile").write_text(
        "FROM scratch\nCOPY busybox /bin/sh\nCOPY a b /d/\nRUN [\"/bin/sh\", \"-c\", \"rm /d/a; echo third > /d/c\"]\n"
        'ENV X=1\nCMD ["/bin/sh", "-c", "ls /d; echo $X"]\n'
    )  # fmt: skip
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    peer.cli("build", "-q", "--network", "none", "-t", "theirs:1", "-t", "theirs:2", str(context), env=environment)
    identity = peer.cli("inspect", "-f", "{{.Id}}", "theirs:1").stdout.strip()
    path = directory / "theirs.tar"
    peer.cli("save", "-o", str(path), "theirs:1", "theirs:2")
    out = served.docker("load", "-i", str(path)).stdout
    assert "Loaded image: theirs:1" in out
    assert "Loaded image: theirs:2" in out
    assert served.client.image("theirs:2").id == identity
    assert served.docker("run", "--rm", "theirs:1", "/bin/sh", "-c", "echo /d/*; echo $X").stdout == "/d/b /d/c\n1\n"
    served.docker("save", "-o", str(directory / "again.tar"), "theirs:1")
    peer.cli("rmi", "-f", "theirs:1", "theirs:2")
    peer.cli("load", "-i", str(directory / "again.tar"))
    assert peer.cli("inspect", "-f", "{{.Id}}", "theirs:1").stdout.strip() == identity
    served.docker("rmi", "-f", "theirs:1", "theirs:2")


def test_a_save_is_the_same_every_time_and_whole(served: Served) -> None:
    data = saved(served, "busybox")
    assert data == saved(served, "busybox")
    served.client.tag_image("busybox", "other/name:3")
    both = saved(served, "busybox", "other/name:3")
    with tarfile.open(fileobj=io.BytesIO(both)) as tar:
        listed = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        index = json.load(tar.extractfile("index.json"))  # type: ignore[arg-type]
        names = tar.getnames()
        for name in names:
            if name.startswith("blobs/sha256/"):
                assert hashlib.sha256(tar.extractfile(name).read()).hexdigest() == name.rpartition("/")[2]  # type: ignore[union-attr]
    assert len(names) == len(set(names))
    assert [entry["RepoTags"] for entry in listed] == [["busybox:latest", "other/name:3"]]
    assert [item["annotations"]["io.containerd.image.name"] for item in index["manifests"]] == [
        "docker.io/library/busybox:latest",
        "docker.io/other/name:3",
    ]
    served.client.remove_image("other/name:3")
    with pytest.raises(StackfileError) as caught:
        saved(served, "busybox", "nothing-of-this-name")
    assert caught.value.reason == "image-not-found"


@pytest.mark.parametrize("compress", ["", "gzip", "zstd"])
def test_layouts_and_compressions_come_back(served: Served, tmp_path: Path, compress: str) -> None:
    box, options = served.box, ("--compress", compress) if compress else ()
    record = served.client.image("busybox")
    served.client.tag_image("busybox", f"trip/{compress or 'none'}:1")
    name = f"trip/{compress or 'none'}:1"
    box.run("image", "save", *options, "--layout", "-o", str(tmp_path / "layout"), name)
    assert not (tmp_path / "layout/manifest.json").exists()
    box.run("image", "save", *options, "-o", str(tmp_path / "file.tar"), name)
    for source in ("layout", "file.tar"):
        box.run("image", "rm", name)
        assert name in box.run("image", "load", str(tmp_path / source)).stdout
        assert served.client.image(name).id == record.id
    whole = (tmp_path / "file.tar").read_bytes()
    packed = {"": lzma.compress(whole, preset=0), "gzip": gzip.compress(whole, 1), "zstd": zstandard.compress(whole)}
    told: list[Transfer] = []
    assert served.client.load_images(chunks(packed[compress]), told=told.append)[0].id == record.id
    assert [transfer.status for transfer in told if "Loaded" in transfer.status] == [f"Loaded image: {name}"]
    box.run("image", "rm", name)


def test_layers_alone_are_unpacked_again(served: Served) -> None:
    """An image that is removed and loaded again is unpacked again, with owners, modes and whiteouts."""
    data = archive({"keep": b"1", "gone": b"2"})
    top = archive({".wh.gone": b"", "new": b"3"})
    config = {
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["ls"]},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(data), digest_of(top)]},
    }  # fmt: skip
    listed = [{"Config": "c.json", "RepoTags": ["legacy:1"], "Layers": ["one/layer.tar", "two/layer.tar"]}]
    files = {"c.json": json.dumps(config).encode(), "manifest.json": json.dumps(listed).encode(), "one/layer.tar": data,
             "three/layer.tar": top}  # fmt: skip
    # Old versions of docker save link a layer that they have written already.
    bundle = archive(files, {"two/layer.tar": "../three/layer.tar"})
    (record,) = served.client.load_images(chunks(bundle))
    assert record.tags == ("docker.io/library/legacy:1",)
    with tarfile.open(fileobj=io.BytesIO(saved(served, "legacy:1"))) as tar:
        for digest, content in ((digest_of(data), data), (digest_of(top), top)):
            assert tar.extractfile("blobs/" + digest.replace(":", "/")).read() == content  # type: ignore[union-attr]
    served.client.remove_image("legacy:1")


def _bundle(**changes: bytes) -> bytes:
    data = archive({"f": b"1"})
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": [digest_of(data)]}}
    listed = [{"Config": "c.json", "RepoTags": ["refused:1"], "Layers": ["l.tar"]}]
    files = {"c.json": json.dumps(config).encode(), "manifest.json": json.dumps(listed).encode(), "l.tar": data}
    return archive({**files, **{name.replace("_", "."): value for name, value in changes.items()}})


@pytest.mark.parametrize(
    ("bundle", "reason"),
    [
        (b"", "bad-archive"),
        (b"no archive at all" * 100, "bad-archive"),
        (archive({"other": b"file"}), "bad-archive"),
        (_bundle(manifest_json=b"{"), "bad-archive"),
        (_bundle(manifest_json=b'[{"Config": "../../../etc/passwd", "Layers": []}]'), "bad-archive"),
        (_bundle(l_tar=archive({"f": b"2"})), "digest-mismatch"),
        (_bundle(c_json=b'{"rootfs": {"diff_ids": ["sha256:zz"]}}'), "bad-archive"),
        (_bundle(c_json=b'{"rootfs": {"diff_ids": []}}'), "bad-archive"),
        (gzip.compress(_bundle())[:-20], "bad-archive"),
    ],
)
def test_what_is_no_archive_of_images_is_refused(served: Served, bundle: bytes, reason: str) -> None:
    with pytest.raises(ActionError) as caught:
        served.client.load_images(chunks(bundle))
    assert caught.value.reason == reason
    assert os.listdir(f"{served.box.settings.root}/tmp") == []
    assert "refused" not in served.docker("images").stdout


def test_archives_are_bases_of_stack_images(served: Served) -> None:
    box = served.box
    box.run("image", "save", "-o", "base.tar", "busybox")
    box.run("image", "save", "--layout", "--compress", "gzip", "-o", "layout", "busybox")
    text = """
name: based
images:
  one: {from: ./base.tar, steps: [{run: echo one > /one}]}
  two: {from: "oci-layout://layout", steps: [{run: echo two > /two}]}
services:
  one: {image: one, command: sleep 1000, stop_grace_period: 100ms}
  two: {image: two, command: sleep 1000, stop_grace_period: 100ms}
"""
    box.stack(text)
    box.run("up")
    assert box.run("exec", "one", "cat", "/one", "/data/seed").stdout == "one\nseed\n"
    assert box.run("exec", "two", "cat", "/two", "/data/seed").stdout == "two\nseed\n"
    assert "up to date" in box.run("up").stdout
    os.unlink(box.directory / "base.tar")
    gone = box.run("up", code=3)
    assert "base.tar" in gone.stderr
    (box.directory / "base.tar").write_bytes(_bundle())
    assert "/bin/sh" in box.run("up", code=1).stderr, "another base, in which nothing runs"
    box.run("down")


def test_pipes_of_the_docker_cli(served: Served) -> None:
    data = subprocess.run(served.command("save", "busybox"), env=served.environment(), capture_output=True, check=True)
    assert data.stdout == saved(served, "busybox")
    done = subprocess.run(
        served.command("load"), env=served.environment(), input=data.stdout, capture_output=True, check=True
    )
    assert b"Loaded image: busybox:latest" in done.stdout
    identity = served.client.image("busybox").id
    by_id = subprocess.run(served.command("save", identity), env=served.environment(), capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(by_id.stdout)) as tar:
        assert json.load(tar.extractfile("manifest.json"))[0]["RepoTags"] is None  # type: ignore[arg-type]
