"""Reading Dockerfiles and their contexts, on the caller's side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stackfile.api import dockerfiles
from stackfile.errors import ErrorList, Place, StackError, StackfileError
from stackfile.model.stack import Build, ImageResource, Origin, SecretRef, SecretResource, Stack


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", f"{tmp_path}/cache")
    root = tmp_path / "project"
    (root / "web/src").mkdir(parents=True)
    (root / "web/Dockerfile").write_text("FROM base\nCOPY src/*.py /x/\n")
    (root / "web/src/a.py").write_text("a")
    (root / "web/src/b.log").write_text("b")
    (root / "web/.dockerignore").write_text("**/*.log\n")
    (root / "extra").mkdir()
    (root / "extra/e").write_text("e")
    return root


def stack(project: Path, **fields: Any) -> Stack:
    build = Build(**{"context": f"{project}/web", "file": f"{project}/web/Dockerfile", **fields})
    images = {
        "base": ImageResource(name="base"),
        "web": ImageResource(name="web", build=build, service="web"),
        "other": ImageResource(name="other", build=Build(text="FROM scratch\n"), service="other"),
    }
    secrets = {
        "one": SecretResource(name="one", content=("a", SecretRef("two"))),
        "two": SecretResource(name="two", content=("b",)),
        "made": SecretResource(name="made"),
    }
    origins = {"service.web/build": Origin(Place("stack.yaml", 3, 5))}
    return Stack(name="s", directory=str(project), images=images, secrets=secrets, origins=origins)


def filled(project: Path, **fields: Any) -> tuple[Build, list[list[str]]]:
    result, uploads = dockerfiles.fill(stack(project, **fields))
    build = result.images["web"].build
    assert build is not None
    return build, [[entry["path"] for entry in json.loads(upload.text)["entries"]] for upload in uploads]


def failure(project: Path, **fields: Any) -> StackfileError:
    with pytest.raises(StackError) as caught:
        dockerfiles.fill(stack(project, **fields))
    return caught.value


def test_what_is_filled_in(project: Path) -> None:
    build, contexts = filled(project)
    assert (build.dockerfile, build.text) == ("web/Dockerfile", "FROM base\nCOPY src/*.py /x/\n")
    assert contexts == [[".", ".dockerignore", "Dockerfile", "src", "src/a.py"]]
    assert build.images == ("base",)
    assert build.manifest


def test_nothing_is_read_that_nothing_copies(project: Path) -> None:
    (project / "web/Dockerfile").write_text("FROM base\nRUN x\n")
    assert filled(project, context="/nowhere") == (filled(project, context="/nowhere")[0], [])


def test_an_ignore_file_of_the_dockerfile(project: Path) -> None:
    (project / "web/Dockerfile.dockerignore").write_text("src\n!src/b.log\nDockerfile*\n.dockerignore\n")
    (project / "web/Dockerfile").write_text("FROM base\nCOPY . /\n")
    assert filled(project)[1] == [[".", "src/b.log"]]


def test_named_contexts_and_secrets(project: Path) -> None:
    (project / "web/Dockerfile").write_text("FROM image\nCOPY --from=extra e /\nCOPY --from=other a /\n")
    build, contexts = filled(
        project,
        contexts={"image": "image:base", "extra": f"{project}/extra", "unused": "/nowhere"},
        secrets={"id": "one"},
    )
    assert contexts == [[".", "e"]]
    assert list(build.manifests) == ["extra"]
    # An image of a service's build is no name for others: `other` is the registry's.
    assert build.images == ("base",)
    assert build.secret_texts == {"id": "ab"}
    assert failure(project, secrets={"id": "made"}).reason == "bad-value"


def test_mistakes(project: Path) -> None:
    missing = failure(project, file=f"{project}/web/nothing")
    assert (missing.reason, missing.at) == ("file-not-found", Place("stack.yaml", 3, 5))
    assert failure(project, context=f"{project}/none").reason == "context-unreadable"
    assert failure(project, target="none").reason == "unknown-stage"
    (project / "web/Dockerfile").write_text("FROM base\nCOPY none src/b.log ../up $A /x/\nADD https://x/y src /z/\n")
    with pytest.raises(ErrorList) as caught:
        dockerfiles.fill(stack(project))
    assert [(error.reason, error.at) for error in caught.value.errors] == [
        ("context-unreadable", Place("web/Dockerfile", 2, 6)),
        ("context-unreadable", Place("web/Dockerfile", 2, 11)),
        ("include-outside", Place("web/Dockerfile", 2, 21)),
    ]
