"""The same Dockerfiles built by Debian's dockerd and by ours: configuration and files of the images agree."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import peers
from tests.integration.daemons import Served, needs_docker, served

__all__ = ["served"]
pytestmark = [pytest.mark.root, pytest.mark.peer, needs_docker]

Cli = Callable[..., str]
FILES = {
    "a.txt": "a",
    "b.txt": "b",
    "dir/c.txt": "c",
    "dir/sub/d.txt": "d",
    "dir/skip.log": "log",
    "with space": "space",
    "[x].txt": "bracket",
    ".dockerignore": "**/*.log\n!dir/sub/*.log\n.dockerignore\nDockerfile\n",
}
LEFT_OUT = "^./(bin|etc|dev|proc|sys)(/|$)|dockerenv|^.$"
LIST = f"cd / && find . -xdev | grep -vE '{LEFT_OUT}' | sort | while read f; do stat -c '%n %A %u:%g' \"$f\"; done"
CASES = {
    "copies": """\
FROM busybox
COPY a.txt /one
COPY a.txt b.txt /two/
COPY dir /three
COPY dir/ /four/
COPY *.txt /five/
COPY dir/* /six/
COPY ["with space", "/seven"]
COPY --chown=3:4 dir /eight/nine
COPY a.txt .
WORKDIR /ten
COPY b.txt .
COPY dir sub/
ADD a.txt /eleven/
COPY . /twelve
COPY dir/sub/d.txt /three/c.txt
""",
    "settings": """\
ARG BASE=busybox
FROM ${BASE}
ARG ONE=1
ARG TWO
ENV A=$ONE B="x y" C='$A' D=${NONE:-no} E=${A:+yes} F=\\$A
ENV G the rest  of it $A
LABEL l.1="a b" l2=$A "l 3"=x
EXPOSE 80 81/udp $ONE
VOLUME /v1 /v2
VOLUME ["/v3"]
USER 1000:$ONE
WORKDIR /w
WORKDIR relative/$B
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s --timeout=2s --retries=4 CMD test -e /x || exit 1
SHELL ["/bin/sh", "-xc"]
ENTRYPOINT echo $A
CMD ["a", "$A"]
ONBUILD RUN echo x
MAINTAINER me
""",
    "commands": """\
FROM busybox AS first
ARG WORD=none
ENV WORD2=two
RUN mkdir -p /out /tmp && chmod 1777 /tmp && echo $WORD $WORD2 $HOME $PWD > /out/words
RUN ["/bin/sh", "-c", "echo exec > /out/exec"]
RUN echo a \\
    # comment
    b > /out/continued
USER 5:6
WORKDIR /work
RUN id -u > /tmp/id && rm -f /bin/nothing
FROM first AS second
USER 0
RUN rm /out/exec && ln -s words /out/link && chmod 4755 /out/words; mkdir /usr
CMD ["x"]
ENTRYPOINT ["y"]
FROM second
COPY --from=0 /out /copied
COPY --from=first /tmp/id /id
ENTRYPOINT ["z"]
""",
    "inherits": "FROM case-settings\nENV A=2\nCMD next\n",
}


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[peers.Docker]:
    with peers.dockerd(tmp_path_factory.mktemp("peer")) as running:
        yield running


def _config(cli: Cli, image: str) -> dict[str, Any]:
    config = json.loads(cli("inspect", "-f", "{{json .Config}}", image))
    kept = ("User", "ExposedPorts", "Env", "Cmd", "Entrypoint", "Volumes", "WorkingDir", "Labels", "StopSignal",
            "Healthcheck", "Shell", "OnBuild")  # fmt: skip
    return {key: config.get(key) or None for key in kept}


def _files(cli: Cli, image: str) -> list[str]:
    return cli("run", "--rm", "--network", "none", "-u", "0", "--entrypoint", "sh", image, "-c", LIST).splitlines()


def test_images_agree(served: Served, docker: peers.Docker, tmp_path: Path) -> None:
    subprocess.run(served.command("import", "-", "busybox:latest"), input=peers.busybox_tar(), check=True,
                   capture_output=True)  # fmt: skip
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "dir/link").symlink_to("c.txt")
    clis: list[Cli] = [lambda *args: docker.cli(*args).stdout, lambda *args: served.docker(*args).stdout]
    differences: dict[str, Any] = {}
    for name, text in CASES.items():
        (tmp_path / "Dockerfile").write_text(text)
        for cli in clis:
            cli("build", "-q", "--network", "none", "-t", f"case-{name}", "--build-arg", "WORD=given", str(tmp_path))
        theirs, ours = ((_config(cli, f"case-{name}"), _files(cli, f"case-{name}")) for cli in clis)
        for key, value in theirs[0].items():
            if value != ours[0][key]:
                differences[f"{name} {key}"] = (value, ours[0][key])
        gone = set(theirs[1]) ^ set(ours[1])
        if gone:
            differences[f"{name} files"] = sorted((line, line in theirs[1]) for line in gone)
    assert not differences, "\n".join(f"{key}: {value}" for key, value in differences.items())
