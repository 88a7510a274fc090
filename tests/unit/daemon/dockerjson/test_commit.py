"""Images of containers: configuration and `--change`; and the header of a path."""

from __future__ import annotations

import base64
import json
import stat

import pytest

from stackfile.daemon.dockerjson import commit, pathstat
from stackfile.errors import ActionError
from stackfile.model.container import ContainerSpec
from stackfile.model.image import ImageConfig
from stackfile.model.stack import Port, SecretRef
from stackfile.provider.engine import PathStat


def changed(*changes: str, base: ImageConfig = ImageConfig()) -> ImageConfig:  # noqa: B008
    return commit.apply_changes(base, changes)


def test_the_container_is_laid_over_the_image() -> None:
    image = ImageConfig(environment=("A=1", "B=2"), command=("old",), labels={"x": "1"}, exposed_ports=("80/tcp",))
    spec = ContainerSpec(
        environment={"B": "3", "C": SecretRef(secret="s")}, command=("new",), ports=(Port(target=90, published=1),)
    )
    made = commit.of_container(spec, image)
    assert made.environment == ("A=1", "B=3")
    assert made.command == ("new",)
    assert made.exposed_ports == ("80/tcp", "90/tcp")
    assert made.labels == {"x": "1"}


def test_an_entrypoint_of_the_container_drops_the_image_command() -> None:
    made = commit.of_container(ContainerSpec(entrypoint=("e",)), ImageConfig(command=("old",)))
    assert (made.entrypoint, made.command) == (("e",), None)


def test_instructions() -> None:
    made = changed(
        'CMD ["sh", "-c"]', "ENTRYPOINT run it", "ENV A=1 B='2 3'", "ENV C d e", "EXPOSE 80 81/udp",
        "LABEL q=r", "USER 1:2", "VOLUME /a /b", "WORKDIR /x", "WORKDIR y", "STOPSIGNAL SIGINT",
        "HEALTHCHECK --interval=5s --retries=2 CMD true",
    )  # fmt: skip
    assert made.command == ("sh", "-c")
    assert made.entrypoint == ("/bin/sh", "-c", "run it")
    assert made.environment == ("A=1", "B=2 3", "C=d e")
    assert made.exposed_ports == ("80/tcp", "81/udp")
    assert (made.user, made.volumes, made.working_dir) == ("1:2", ("/a", "/b"), "/x/y")
    assert made.healthcheck is not None
    assert (made.healthcheck.test, made.healthcheck.retries) == (("CMD-SHELL", "true"), 2)
    assert changed("HEALTHCHECK NONE").healthcheck is not None


@pytest.mark.parametrize("change", ["RUN x", "HEALTHCHECK --interval=x CMD y", "HEALTHCHECK true", "EXPOSE x"])
def test_bad_instructions(change: str) -> None:
    with pytest.raises(ActionError):
        changed(change)


def test_the_body_wins() -> None:
    made = commit.with_body(ImageConfig(user="1", environment=("A=1",)), {"User": "2", "Env": ["A=2"], "Cmd": None})
    assert (made.user, made.environment) == ("2", ("A=2",))


def test_path_header() -> None:
    found = PathStat(name="x", size=3, mode=stat.S_IFDIR | stat.S_ISVTX | 0o777, mtime_ns=0)
    value = json.loads(base64.b64decode(pathstat.encode(found)))
    assert value["mode"] == (1 << 31) | (1 << 20) | 0o777
    assert value["name"] == "x"
