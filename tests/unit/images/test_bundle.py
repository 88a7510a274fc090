"""Images in tars and directories: what is found, what is refused."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from stackfile.errors import ActionError
from stackfile.images import bundle, documents, exporting
from stackfile.images.exporting import Saved
from stackfile.images.manifests import Platform, parse_platform

LAYER = b"a layer"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


CONFIG = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": [digest_of(LAYER)]}}).encode()


def blob(data: bytes) -> str:
    return "blobs/" + digest_of(data).replace(":", "/")


def encode(value: object) -> bytes:
    return json.dumps(value).encode()


def layout(*entries: tuple[bytes, dict[str, Any]]) -> dict[str, bytes]:
    """Files of an OCI layout: each entry a config and what the index says of its manifest beside the digest."""
    files: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', blob(LAYER): LAYER}
    listed = []
    for config, more in entries:
        manifest = documents.encode_manifest(config, [(digest_of(LAYER), len(LAYER))])
        files[blob(config)], files[blob(manifest)] = config, manifest
        listed.append({"mediaType": documents.MANIFEST, "digest": digest_of(manifest), "size": len(manifest), **more})
    return {**files, "index.json": encode({"schemaVersion": 2, "manifests": listed})}


def as_tar(path: Path, files: dict[str, bytes], links: dict[str, tuple[bytes, str]] | None = None) -> str:
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for name, (kind, target) in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    return str(path)


def as_directory(path: Path, files: dict[str, bytes]) -> str:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return str(path)


def content(found: bundle.Slice) -> bytes:
    with open(found.path, "rb") as file:
        file.seek(found.start)
        return file.read(found.size)


def named(name: str) -> dict[str, Any]:
    return {"annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": "1"}}


@pytest.mark.parametrize("make", [as_tar, as_directory])
def test_layout(tmp_path: Path, make: Any) -> None:
    (found,) = bundle.read(make(tmp_path / "x", layout((CONFIG, named("docker.io/library/app:1")))))
    assert found.config == CONFIG
    assert [content(item) for item in found.layers] == [LAYER]
    assert found.tags == ("docker.io/library/app:1",)


def test_a_tag_alone_names_nothing(tmp_path: Path) -> None:
    annotations = {"annotations": {"org.opencontainers.image.ref.name": "1"}}
    (found,) = bundle.read(as_directory(tmp_path, layout((CONFIG, annotations))))
    assert found.tags == ()


def test_a_layout_of_several_platforms(tmp_path: Path) -> None:
    other = CONFIG.replace(b"amd64", b"arm64")
    entries = [
        (config, {"platform": {"os": "linux", "architecture": architecture}})
        for config, architecture in ((other, "arm64"), (CONFIG, "amd64"))
    ]
    path = as_directory(tmp_path, layout(*entries))
    assert bundle.read(path, Platform("linux", "amd64"))[0].config == CONFIG
    assert bundle.read(path, parse_platform("linux/arm64"))[0].config == other
    with pytest.raises(ActionError) as caught:
        bundle.read(path, parse_platform("linux/s390x"))
    assert caught.value.reason == "platform-missing"


def docker_archive(**changes: Any) -> dict[str, bytes]:
    entry = {"Config": "c.json", "RepoTags": ["app:1", "app:2"], "Layers": ["l/layer.tar"], **changes}
    return {"c.json": CONFIG, "l/layer.tar": LAYER, "manifest.json": encode([entry])}


@pytest.mark.parametrize("make", [as_tar, as_directory])
def test_docker_archive(tmp_path: Path, make: Any) -> None:
    (found,) = bundle.read(make(tmp_path / "x", docker_archive()))
    assert (found.config, found.tags) == (CONFIG, ("app:1", "app:2"))
    assert [content(item) for item in found.layers] == [LAYER]


@pytest.mark.parametrize(("kind", "target"), [(tarfile.SYMTYPE, "../l/layer.tar"), (tarfile.LNKTYPE, "l/layer.tar")])
def test_layers_that_are_links(tmp_path: Path, kind: bytes, target: str) -> None:
    path = as_tar(tmp_path / "x", docker_archive(Layers=["m/layer.tar"]), {"m/layer.tar": (kind, target)})
    assert [content(item) for item in bundle.read(path)[0].layers] == [LAYER]


def test_what_save_writes_is_read_both_ways(tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    layer.write_bytes(LAYER)
    layers = ((digest_of(LAYER), str(layer), len(LAYER)),)
    images = [Saved(config=CONFIG, layers=layers, tags=("docker.io/library/app:1", "docker.io/library/app:2"))]
    files = {item.name: Path(item.path).read_bytes() if item.path else item.data for item in exporting.contents(images)}
    as_archive = bundle.read(as_tar(tmp_path / "both", files))
    assert as_archive[0].tags == ("app:1", "app:2")
    del files["manifest.json"]
    as_layout = bundle.read(as_tar(tmp_path / "oci", files))
    assert [found.tags for found in as_layout] == [("docker.io/library/app:1",), ("docker.io/library/app:2",)]
    assert {found.config for found in (*as_archive, *as_layout)} == {CONFIG}


def test_shared_content_is_written_once(tmp_path: Path) -> None:
    layers = ((digest_of(LAYER), "/somewhere", len(LAYER)),)
    other = CONFIG.replace(b"linux", b"linux ")
    images = [Saved(config=config, layers=layers) for config in (CONFIG, other)]
    names = [item.name for item in exporting.contents(images)]
    assert len(names) == len(set(names))
    assert names.count(blob(LAYER)) == 1


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "bad-archive"),
        ({"readme": b"x"}, "bad-archive"),
        ({"manifest.json": b"{}"}, "bad-archive"),
        ({"manifest.json": b"[1]"}, "bad-archive"),
        ({"manifest.json": b" " * (5 << 20)}, "bad-archive"),
        (docker_archive(Config="missing.json"), "bad-archive"),
        (docker_archive(Layers=["missing"]), "bad-archive"),
        ({"index.json": b"{"}, "bad-archive"),
        ({"index.json": encode({"schemaVersion": 2, "manifests": [{"digest": "x", "size": 1}]})}, "bad-archive"),
        ({**layout((CONFIG, {})), blob(CONFIG): CONFIG.replace(b"amd64", b"arm64")}, "digest-mismatch"),
        ({**layout((CONFIG, {})), blob(LAYER): LAYER + b"more"}, "digest-mismatch"),
    ],
)
@pytest.mark.parametrize("make", [as_tar, as_directory])
def test_refused(tmp_path: Path, make: Any, files: dict[str, bytes], reason: str) -> None:
    path = tmp_path / "x"
    if make is as_directory:
        path.mkdir()
    with pytest.raises(ActionError) as caught:
        bundle.read(make(path, files))
    assert caught.value.reason == reason


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "link"])
def test_nothing_outside_is_read(tmp_path: Path, name: str) -> None:
    files = docker_archive(Config=name)
    path = Path(as_directory(tmp_path / "x", files))
    (path / "link").symlink_to("/etc/passwd")
    with pytest.raises(ActionError) as caught:
        bundle.read(str(path))
    assert caught.value.reason in ("unsafe-path", "bad-archive")
    with pytest.raises(ActionError) as caught:
        bundle.read(as_tar(tmp_path / "t", files, {"link": (tarfile.SYMTYPE, "/etc/passwd")}))
    assert caught.value.reason == "bad-archive"
