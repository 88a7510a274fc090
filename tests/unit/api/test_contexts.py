"""Reading what copy steps name, on the caller's side."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from stackfile.api import contexts
from stackfile.api.stacks import Upload
from stackfile.digest import sha256
from stackfile.errors import ActionError, Place, StackError
from stackfile.model.stack import ImageResource, Origin, Stack, Step


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", f"{tmp_path}/cache")
    return tmp_path / "cache"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "app/sub").mkdir(parents=True)
    (root / "app/web.py").write_text("web")
    (root / "app/sub/x.txt").write_text("x")
    (root / "app/link").symlink_to("web.py")
    return root


def stack(project: Path, *source: str, **fields: object) -> Stack:
    step = Step(kind="copy", source=source, target="/app", **fields)  # type: ignore[arg-type]
    origins = {"image.app/steps/0/copy/source": Origin(Place("stack.yaml", 7, 15))}
    images = {"app": ImageResource(name="app", steps=(step,))}
    return Stack(name="s", directory=str(project), images=images, origins=origins)


def read(project: Path, *source: str) -> tuple[dict[str, dict[str, object]], Upload]:
    filled, (upload,) = contexts.fill(stack(project, *source))
    assert filled.images["app"].steps[0].context == upload.digest == sha256(upload.text.encode())
    return {entry["path"]: entry for entry in json.loads(upload.text)["entries"]}, upload


def failure(project: Path, source: str) -> StackError:
    with pytest.raises(StackError) as caught:
        contexts.fill(stack(project, source))
    assert caught.value.at == Place("stack.yaml", 7, 15)
    return caught.value


def test_a_directory(project: Path) -> None:
    entries, upload = read(project, "./app")
    assert list(entries) == ["app", "app/link", "app/sub", "app/sub/x.txt", "app/web.py"]
    assert entries["app/link"]["target"] == "web.py"
    assert entries["app/web.py"]["digest"] == sha256(b"web")
    assert b"".join(upload.read(sha256(b"web"))) == b"web"


def test_everything(project: Path) -> None:
    assert {".", "app", "app/web.py"} <= set(read(project, ".")[0])


def test_content_decides_not_time(project: Path) -> None:
    first = read(project, "app")[1].digest
    os.utime(project / "app/web.py", (1, 1))
    assert read(project, "app")[1].digest == first
    (project / "app/web.py").write_text("new")
    assert read(project, "app")[1].digest != first


def test_patterns(project: Path) -> None:
    (project / "app/api.py").write_text("api")
    assert set(read(project, "app/*.py")[0]) == {"app/api.py", "app/web.py"}
    assert set(read(project, "a*/s?b/[xy].txt")[0]) == {"app/sub/x.txt"}
    assert failure(project, "app/*.c").reason == "context-unreadable"


@pytest.mark.parametrize("source", ["../secret", "app/../../secret", "out", "out/x"])
def test_outside(project: Path, source: str) -> None:
    (project.parent / "secret").mkdir()
    (project / "out").symlink_to("../secret")
    (project.parent / "secret/x").write_text("x")
    assert failure(project, source).reason == "include-outside"


def test_a_link_inside_is_followed_at_the_top(project: Path) -> None:
    (project / "alias").symlink_to("app/web.py")
    assert read(project, "alias")[0]["alias"]["digest"] == sha256(b"web")


def test_missing(project: Path) -> None:
    assert failure(project, "nowhere").reason == "context-unreadable"


def test_special_files(project: Path) -> None:
    os.mkfifo(project / "app/pipe")
    assert failure(project, "app").reason == "context-unreadable"


def test_urls(project: Path) -> None:
    assert failure(project, "https://example.org/x.tar").reason == "unsupported-key"


def test_ignore_file(project: Path) -> None:
    (project / ".dockerignore").write_text("# comment\n**/*.txt\napp/link\n")
    assert set(read(project, "app")[0]) == {"app", "app/sub", "app/web.py"}
    (project / ".stackignore").write_text("app/sub\n!app/sub/x.txt\n")
    assert set(read(project, "app")[0]) == {"app", "app/link", "app/sub/x.txt", "app/web.py"}


def test_a_change_between_reading_and_sending(project: Path) -> None:
    _, upload = read(project, "app")
    (project / "app/web.py").write_text("changed")
    with pytest.raises(ActionError) as caught:
        list(upload.read(sha256(b"web")))
    assert caught.value.reason == "digest-mismatch"


def test_large_files_are_not_read_twice(project: Path, cache: Path) -> None:
    large = project / "app/large"
    large.write_bytes(b"x" * 10_000)
    time.sleep(0.06)
    first = read(project, "app")[1].digest
    (saved,) = cache.glob("stackfile/contexts/*.json")
    known = json.loads(saved.read_text())
    assert list(known) == [str(large)]
    saved.write_text(json.dumps({str(large): [*known[str(large)][:5], sha256(b"remembered")]}))
    assert read(project, "app")[0]["app/large"]["digest"] == sha256(b"remembered")
    saved.write_text("broken")
    assert read(project, "app")[1].digest == first


def test_steps_without_local_files(project: Path) -> None:
    filled, uploads = contexts.fill(stack(project, "/x", from_image="other"))
    assert uploads == []
    assert filled.images["app"].steps[0].context == ""
