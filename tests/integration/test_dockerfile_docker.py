"""`docker build` without buildx against our daemon: POST /build."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest

from tests.integration.daemons import Served, needs_docker, served
from tests.peers import busybox_tar
from tests.registry import LAYER, registry

__all__ = ["served"]
pytestmark = [pytest.mark.root, pytest.mark.peer, needs_docker]

DOCKERFILE = """\
ARG BASE=busybox
FROM ${BASE} AS build
ARG WORD=hello
WORKDIR /made
COPY . .
RUN --mount=type=cache,target=/cache echo $WORD > word && echo said $WORD && echo x >> /cache/count

FROM busybox AS unused
RUN exit 9

FROM busybox
LABEL stage=last
COPY --from=build --chown=7:8 --chmod=0640 /made/word /word
COPY <<EOF /etc/motd
to ${WORD:-nobody}
EOF
ENV GREETING="good morning" PATH=/opt:$PATH
ENTRYPOINT ["cat"]
CMD ["/word", "/etc/motd"]
"""


def _build(served: Served, directory: Path, *args: str, code: int = 0, config: Path | None = None) -> str:
    options = ("--config", str(config)) if config else ()
    done = served.docker(*options, "build", *args, str(directory), code=code)
    return done.stdout + done.stderr


def test_build(served: Served, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "left").write_text("left")
    (tmp_path / ".dockerignore").write_text("l*\n")
    out = _build(served, tmp_path, "-t", "made:1", "-t", "made:2", "--build-arg", "WORD=bye", "--label", "by=test")
    assert "Step 1/12 : FROM ${BASE} AS build" in out
    assert "said bye" in out
    assert "Successfully tagged made:1" in out
    assert "exit 9" not in out
    assert served.docker("run", "--rm", "made:2").stdout == "bye\nto nobody\n"
    listed = served.docker("run", "--rm", "--entrypoint", "ls", "made:1", "-ln", "/word").stdout.split()
    assert (listed[0], listed[2], listed[3]) == ("-rw-r-----", "7", "8")
    labels = served.docker("inspect", "-f", "{{json .Config.Labels}}", "made:1").stdout
    assert labels.strip() == '{"by":"test","stage":"last"}'
    again = _build(served, tmp_path, "-t", "made:3", "--build-arg", "WORD=bye", "--label", "by=test")
    assert again.count("Using cache") == 10
    first, last = (served.docker("images", "-q", "--no-trunc", name).stdout for name in ("made:1", "made:3"))
    assert first == last
    quiet = served.docker("build", "-q", "--target", "build", str(tmp_path))
    assert quiet.stdout.strip().startswith("sha256:")
    files = served.docker("run", "--rm", quiet.stdout.strip(), "ls").stdout
    assert "kept" in files
    assert "left" not in files
    # What was made for the mount alone is no part of the image.
    assert "cache" not in served.docker("run", "--rm", quiet.stdout.strip(), "ls", "/").stdout


def test_failures(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("FROM busybox\nRUN echo about to fail; exit 7\n")
    out = _build(served, tmp_path, code=7)
    assert "about to fail" in out
    assert "Dockerfile:2:1" in out
    file.write_text("FROM busybox\nRUNN true\n")
    assert "no instruction RUNN" in _build(served, tmp_path, code=1)
    file.write_text("FROM busybox\nCOPY nothing /\n")
    assert "no nothing" in _build(served, tmp_path, code=1)
    assert "unknown-file" in _build(served, tmp_path, "-f", str(tmp_path / "unknown-file"), code=1)


def test_a_base_behind_a_login(served: Served, tmp_path: Path) -> None:
    with registry(tmp_path / "registry", users={"user": "word"}) as guarded:
        tar = busybox_tar()
        guarded.push_image("base", "1", [(tar, gzip.compress(tar), f"{LAYER}+gzip")])
        context, config = tmp_path / "context", tmp_path / "config"
        context.mkdir()
        config.mkdir()
        (context / "Dockerfile").write_text(f'FROM {guarded.host}/base:1\nCMD ["echo", "let in"]\n')
        assert "registry" in _build(served, context, "-t", "guarded", code=1)
        word = base64.b64encode(b"user:word").decode()
        (config / "config.json").write_text(json.dumps({"auths": {guarded.host: {"auth": word}}}))
        _build(served, context, "-t", "guarded", config=config)
        assert served.docker("run", "--rm", "guarded").stdout == "let in\n"
        before = guarded.requests_for("manifests/1")
        assert "Pulling" in _build(served, context, "--pull", config=config)
        assert guarded.requests_for("manifests/1") > before
