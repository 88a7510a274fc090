"""Dockerfiles in stacks: `build:` of services and images, from the command line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.conftest import Box
from tests.peers import busybox_tar
from tests.registry import LAYER, registry

pytestmark = pytest.mark.root

STACK = """\
name: built
images:
  base:
    from: scratch
    steps:
      - host: {programs: [busybox]}
      - run: [/bin/busybox, mkdir, -p, /opt]
      - run: [/bin/busybox, --install, /bin]
      - env: {PATH: /bin, WHO: base}
  tool:
    build: {context: ./tool, args: {WORD: stack}}
services:
  web:
    build:
      context: ./web
      target: final
      additional_contexts: {extra: ./extra}
      secrets: [token]
      labels: {team: a}
    command: ["sh", "-c", "cat /made /extra /secret-was /tool; sleep 600"]
    init: true
  named:
    build: {dockerfile_inline: "FROM base\\nCMD [\\"sleep\\", \\"600\\"]\\n"}
    image: example/named:2
    init: true
secrets:
  token: {content: hush}
"""
WEB = """\
# syntax=docker/dockerfile:1
FROM base AS make
ARG TARGETARCH
COPY src/ /src/
RUN cat /src/*.txt > /made && echo ${TARGETARCH} >> /made
RUN --mount=type=secret,id=token --mount=type=bind,source=src,target=/bound \\
    sed s/hush/it-was-there/ /run/secrets/token > /secret-was; echo >> /secret-was; ls /bound >> /secret-was

FROM base AS broken
RUN exit 4

FROM base AS final
ONBUILD RUN echo triggered
COPY --from=make /made /secret-was /
COPY --from=extra file /extra
COPY --from=tool /word /tool
"""


@pytest.fixture
def built(box: Box) -> Box:
    box.stack(STACK)
    for name, text in {
        "web/Dockerfile": WEB,
        "web/.dockerignore": "**/*.log\n",
        "web/src/a.txt": "a\n",
        "web/src/b.txt": "b\n",
        "web/src/c.log": "c\n",
        "extra/file": "extra\n",
        "tool/Dockerfile": "FROM base\nARG WORD=none\nRUN echo $WORD > /word\nRUN [ ! -e /run/secrets ]\n",
    }.items():
        path = box.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return box


def test_up_builds_what_changed(built: Box) -> None:
    plan = built.run("plan").stdout
    assert "image.web" in plan
    built.run("up")
    lines = built.run("logs", "--no-log-prefix", "web").stdout.split()
    assert lines == ["a", "b", "amd64", "extra", "it-was-there", "a.txt", "b.txt", "stack"]
    assert "up to date" in built.run("up").stdout
    (built.directory / "web/src/c.log").write_text("ignored\n")
    assert "up to date" in built.run("plan").stdout
    (built.directory / "web/src/b.txt").write_text("b2\n")
    assert "src/b.txt changed" in built.run("plan").stdout
    built.run("up")
    images = {container["service"]: container["image"] for container in built.containers()}
    assert images == {"web": "built-web", "named": "example/named:2"}
    assert "b2" in built.run("logs", "--no-log-prefix", "web").stdout


def test_mistakes_are_at_their_places(built: Box) -> None:
    web = built.directory / "web/Dockerfile"
    web.write_text("FROM base AS final\nCOPY nothing /x\nRUNN x\n")
    tool = built.directory / "tool/Dockerfile"
    tool.write_text("FROM base\nCOPY ../up /\nCOPY --chwon=1 a b\n")
    done = built.run("up", code=3)
    assert "web/Dockerfile:3:1" in done.stderr
    assert "tool/Dockerfile:3:6" in done.stderr
    web.write_text("FROM base AS final\nCOPY nothing /x\n")
    tool.write_text("FROM base\nRUN echo out of luck; exit 5\n")
    done = built.run("up", code=3)
    assert "web/Dockerfile:2:6" in done.stderr
    web.write_text("FROM base AS final\n")
    done = built.run("build", "tool", code=1)
    assert "tool/Dockerfile:2:1" in done.stderr
    assert "out of luck" in done.stderr + done.stdout
    tool.unlink()
    assert "file-not-found" in built.run("up", "--json", code=3).stdout + built.run("up", "--json", code=3).stderr


def test_a_base_from_a_registry_with_triggers(box: Box, tmp_path: Path) -> None:
    with registry(tmp_path / "registry") as remote:
        tar = busybox_tar()
        settings = {"Env": ["PATH=/bin"], "OnBuild": ["COPY given /given", "RUN echo triggered > /was"]}
        remote.push_image("base", "1", [(tar, gzip.compress(tar), f"{LAYER}+gzip")], config=settings)
        box.stack(f"""\
name: remote
services:
  app:
    build:
      dockerfile_inline: |
        ARG TAG=2
        FROM {remote.host}/base:$$TAG
        COPY given /own
        RUN cat /given /was > /both
        ENTRYPOINT ["cat", "/both"]
      args: {{TAG: "1"}}
""")
        (box.directory / "given").write_text("given\n")
        assert "3 of 3 steps" in box.run("plan").stdout
        assert box.run("container", "run", "--rm", "remote-app", code=125).stdout == ""
        box.run("build")
        assert box.run("container", "run", "--rm", "remote-app").stdout == "given\ntriggered\n"
        assert remote.requests_for("manifests/1") == 1
        (box.directory / "given").write_text("other\n")
        assert "5 of 5 steps" in box.run("plan").stdout
        box.stack(box.directory.joinpath("stack.yaml").read_text().replace('TAG: "1"', "TAG: none"))
        missing = box.run("build", code=1).stderr
        assert "image-not-found" in missing or "no such image" in missing
        assert "stack.yaml (dockerfile_inline):2:6" in missing
        box.stack(box.directory.joinpath("stack.yaml").read_text().replace("TAG: none", "TAG: '?'"))
        assert "invalid image reference" in box.run("build", code=3).stderr
