"""Build contexts as tar archives."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from stackfile import wire
from stackfile.build import archives
from stackfile.errors import ActionError
from stackfile.images.blobs import BlobStore
from stackfile.model.image import ContextEntry, ContextManifest
from stackfile.paths import StatePaths


def archive(path: Path, *members: tuple[str, str | None], links: tuple[tuple[str, str, bytes], ...] = ()) -> str:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in members:
            member = tarfile.TarInfo(name)
            member.mode = 0o644
            if text is None:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
            member.size = len(text or "")
            tar.addfile(member, io.BytesIO((text or "").encode()))
        for name, target, kind in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    path.write_bytes(gzip.compress(out.getvalue()))
    return str(path)


def take(root: Path, path: str, dockerfile: str = "Dockerfile") -> tuple[dict[str, ContextEntry], str | None]:
    (root / "tmp").mkdir(exist_ok=True)
    taken = archives.take(str(root), path, dockerfile)
    manifest = wire.decode(taken.manifest.encode(), ContextManifest)
    return {entry.path: entry for entry in manifest.entries}, taken.dockerfile


def test_a_context(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "x", ("Dockerfile", "FROM a\n"), ("./d/e/f", "text"), ("g/", None),
        links=(("s", "d/e/f", tarfile.SYMTYPE), ("h", "d/e/f", tarfile.LNKTYPE)),
    )  # fmt: skip
    entries, dockerfile = take(tmp_path, path)
    assert dockerfile == "FROM a\n"
    assert {name: entry.type for name, entry in entries.items()} == {
        ".": "dir", "Dockerfile": "file", "d": "dir", "d/e": "dir", "d/e/f": "file", "g": "dir", "h": "file",
        "s": "symlink",
    }  # fmt: skip
    assert entries["h"].digest == entries["d/e/f"].digest
    paths = StatePaths(str(tmp_path))
    assert BlobStore(paths.blobs, paths.temporary).read(entries["h"].digest) == b"text"


def test_the_dockerfile_goes_where_it_is_ignored(tmp_path: Path) -> None:
    path = archive(tmp_path / "x", (".dockerignore", "*file\n.docker*\n"), ("sub/My.file", "FROM b\n"), ("file", ""))
    entries, dockerfile = take(tmp_path, path, "sub/My.file")
    assert (dockerfile, sorted(entries)) == ("FROM b\n", [".", "file", "sub", "sub/My.file"])
    path = archive(tmp_path / "x", (".dockerignore", "Dockerfile\n"), ("Dockerfile", "FROM b\n"))
    assert sorted(take(tmp_path, path)[0]) == [".", ".dockerignore"]


def test_no_dockerfile(tmp_path: Path) -> None:
    assert take(tmp_path, archive(tmp_path / "x", ("a", "")))[1] is None


def test_what_leads_outside(tmp_path: Path) -> None:
    for bad in (archive(tmp_path / "x", ("../up", "")), archive(tmp_path / "y", ("a/../../up", ""))):
        with pytest.raises(ActionError) as caught:
            take(tmp_path, bad)
        assert caught.value.reason == "unsafe-path"
    with pytest.raises(ActionError) as caught:
        take(tmp_path, archive(tmp_path / "z", links=(("h", "nothing", tarfile.LNKTYPE),)))
    assert caught.value.reason == "bad-archive"
