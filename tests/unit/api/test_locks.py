"""Which images a stack names, and a stack that follows a lock."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackfile import api
from stackfile.api import locks, relock
from stackfile.errors import ErrorList, RefusedError, StackError
from stackfile.model.lock import Lock, LockedImage
from stackfile.model.stack import Stack

DIGEST = "sha256:" + "d" * 64
STACK = f"""
images:
  empty: {{from: scratch, steps: [{{host: {{programs: [sh]}}}}]}}
  recipe: {{from: debian, steps: [{{env: {{A: b}}}}]}}
  on: {{from: recipe, steps: [{{env: {{A: c}}}}]}}
  archive: {{from: ./base.tar}}
  made:
    build:
      context: .
      args: {{VERSION: "3.12"}}
      additional_contexts: {{files: ., named: docker-image://quay.io/tools/named:2}}
services:
  hub: {{image: busybox:1.36}}
  same: {{image: docker.io/library/busybox:1.36}}
  local: {{image: localhost:5000/a/b, deploy: {{replicas: 2}}, hostname: "h{{{{ replica.index }}}}"}}
  pinned: {{image: "busybox:1.35@{DIGEST}"}}
  own: {{image: on}}
  built: {{build: {{dockerfile_inline: "FROM index.docker.io/library/nginx\\nFROM other"}}}}
"""
DOCKERFILE = """\
ARG VERSION=3
FROM python:${VERSION} AS base
FROM base AS unused
COPY --from=never:1 /x /x
FROM base
COPY --from=named /x /x
COPY --from=recipe /x /x
COPY --from=files /x /x
RUN --mount=from=alpine,target=/a true
FROM scratch AS nothing
FROM base
COPY --from=named /x /x
COPY --from=recipe /x /x
RUN --mount=from=alpine,target=/a true
"""


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    (tmp_path / "stack.yaml").write_text(STACK)
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    return api.load(api.LoadOptions(directory=str(tmp_path)))


def test_every_reference_counts_once_in_full(stack: Stack) -> None:
    found = {name: str(place) for name, place in locks.references(stack).items()}
    assert found == {
        "docker.io/library/busybox:1.36": "stack.yaml:13:16",
        "localhost:5000/a/b:latest": "stack.yaml:15:18",
        "docker.io/library/debian:latest": "stack.yaml:4:18",
        "docker.io/library/python:3.12": "Dockerfile:2:6",
        "quay.io/tools/named:2": "stack.yaml:9:7",
        "docker.io/library/alpine:latest": "stack.yaml:9:7",
        "docker.io/library/other:latest": "stack.yaml (dockerfile_inline):2:6",
    }


def test_a_lock_says_the_content_everywhere(stack: Stack) -> None:
    names = locks.references(stack)
    lock = Lock(images={name: LockedImage(digest=DIGEST) for name in names})
    file = locks.LockFile("/x/stack.lock", "stack.lock")
    found = locks.locked(stack, lock, file)
    assert {name: service.image for name, service in found.services.items()} == {
        "hub": f"busybox:1.36@{DIGEST}",
        "same": f"docker.io/library/busybox:1.36@{DIGEST}",
        "local": f"localhost:5000/a/b:latest@{DIGEST}",
        "pinned": f"busybox:1.35@{DIGEST}",
        "own": "on",
        "built": stack.services["built"].image,
    }
    assert {variant.image for variant in found.services["local"].variants} == {f"localhost:5000/a/b:latest@{DIGEST}"}
    bases = {name: image.base for name, image in found.images.items() if image.build is None}
    assert bases == {"empty": "scratch", "recipe": f"debian:latest@{DIGEST}", "on": "recipe", "archive": "./base.tar"}
    build = found.images["made"].build
    assert build is not None
    assert build.contexts == {
        "files": stack.directory,
        "named": f"docker-image://quay.io/tools/named:2@{DIGEST}",
        "python:3.12": f"docker-image://python:3.12@{DIGEST}",
        "alpine": f"docker-image://alpine:latest@{DIGEST}",
    }
    assert locks.references(found) == {}


def test_what_is_not_locked_is_refused_with_its_place(stack: Stack) -> None:
    file = locks.LockFile("/x/stack.lock", "stack.lock")
    with pytest.raises(RefusedError) as caught:
        locks.locked(stack, None, file)
    assert caught.value.reason == "lock-differs"
    lock = Lock(images={name: LockedImage(digest=DIGEST) for name in list(locks.references(stack))[1:]})
    with pytest.raises(RefusedError) as caught:
        locks.locked(stack, lock, file)
    assert (caught.value.reason, str(caught.value.at)) == ("lock-differs", "stack.yaml:13:16")
    with pytest.raises(ErrorList) as several:
        locks.locked(stack, Lock(), file)
    assert {(error.reason, error.exit_code) for error in several.value.errors} == {("lock-differs", 5)}


def test_a_dockerfile_that_cannot_be_read_is_told(stack: Stack) -> None:
    Path(stack.directory, "Dockerfile").unlink()
    with pytest.raises(StackError) as caught:
        locks.references(stack)
    assert caught.value.reason == "file-not-found"


def test_the_file_lies_beside_the_first_stack_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "stack.yaml").write_text("services: {}")
    for options, expected in (
        (api.LoadOptions(directory=str(tmp_path / "a")), ("a/stack.lock", "stack.lock")),
        (api.LoadOptions(directory=str(tmp_path), files=("a/stack.yaml",)), ("a/stack.lock", "a/stack.lock")),
        (
            api.LoadOptions(directory=str(tmp_path), files=("a/stack.yaml",), project_directory="."),
            ("a/stack.lock", "a/stack.lock"),
        ),
    ):
        file = locks.LockFile.of(api.load(options), options)
        assert (file.path, file.name) == (str(tmp_path / expected[0]), expected[1])
        assert file.read() is None


def test_changes_are_told_by_reference() -> None:
    old, new = LockedImage(digest=DIGEST), LockedImage(digest="sha256:" + "e" * 64)
    before, after = Lock(images={"a": old, "b": old, "c": old}), Lock(images={"a": old, "b": new, "d": new})
    found = relock.changes(before, after, ("e", "a"))
    assert [(each.reference, each.change) for each in found] == [
        ("b", "update"),
        ("c", "remove"),
        ("d", "add"),
        ("e", "add"),
    ]
