"""Credentials as docker keeps them, helpers included."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackfile.api.credentials import Credentials
from stackfile.api.references import registry_of
from stackfile.errors import StackfileError
from stackfile.model.image import ImageRecord, RegistryAuth
from stackfile.model.stack import Build, ImageResource, Service, Stack

ME = RegistryAuth(username="me", password="pass:word")
ENCODED = base64.b64encode(b"me:pass:word").decode()


def made(directory: Path, config: object = None) -> Credentials:
    if config is not None:
        (directory / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return Credentials({"DOCKER_CONFIG": str(directory), "PATH": f"{directory}:{os.environ['PATH']}"})


def helper(directory: Path, body: str) -> None:
    path = directory / "docker-credential-mine"
    path.write_text(f'#!/bin/sh\nread -r key\necho "$1 $key" >> {directory}/asked\n{body}\n')
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("reference", "host"),
    [
        ("busybox", "docker.io"),
        ("team/app:1", "docker.io"),
        ("docker.io/library/busybox", "docker.io"),
        ("index.docker.io/x", "docker.io"),
        ("localhost/x", "localhost"),
        ("127.0.0.1:5000/team/app@sha256:0", "127.0.0.1:5000"),
        ("quay.io/x/y", "quay.io"),
    ],
)
def test_registry_of(reference: str, host: str) -> None:
    assert registry_of(reference) == host


def test_nothing_known(tmp_path: Path) -> None:
    assert made(tmp_path).get("quay.io") == RegistryAuth()
    assert made(tmp_path, {"auths": {"other": {"auth": ENCODED}}}).get("quay.io") == RegistryAuth()
    assert Credentials({"HOME": str(tmp_path)}).path == f"{tmp_path}/.docker/config.json"


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("quay.io", "quay.io"),
        ("https://quay.io/v2/", "quay.io"),
        ("127.0.0.1:5000", "127.0.0.1:5000"),
        ("https://index.docker.io/v1/", "docker.io"),
    ],
)
def test_entries(tmp_path: Path, key: str, host: str) -> None:
    assert made(tmp_path, {"auths": {key: {"auth": ENCODED}}}).get(host) == ME
    assert made(tmp_path, {"auths": {key: {"username": "me", "password": "pass:word"}}}).get(host) == ME
    token = made(tmp_path, {"auths": {key: {"identitytoken": "t"}}}).get(host)
    assert token == RegistryAuth(identity_token="t")


def test_secrets_are_in_no_repr(tmp_path: Path) -> None:
    found = made(tmp_path, {"auths": {"x.io": {"auth": ENCODED, "identitytoken": "tok"}}}).get("x.io")
    assert "pass" not in repr(found)
    assert "tok'" not in repr(found)


@pytest.mark.parametrize("config", ["{", "[]", '{"auths": {"x.io": {"auth": "***"}}}'])
def test_a_file_that_is_malformed(tmp_path: Path, config: str) -> None:
    with pytest.raises(StackfileError) as caught:
        made(tmp_path, config).get("x.io")
    assert caught.value.reason == "bad-setting"


def test_helpers(tmp_path: Path) -> None:
    helper(tmp_path, 'echo \'{"Username": "me", "Secret": "pass:word"}\'')
    assert made(tmp_path, {"credHelpers": {"x.io": "mine"}}).get("x.io") == ME
    assert made(tmp_path, {"credHelpers": {"x.io": "mine"}}).get("y.io") == RegistryAuth()
    assert made(tmp_path, {"credsStore": "mine"}).get("docker.io") == ME
    assert (tmp_path / "asked").read_text().splitlines() == ["get x.io", "get https://index.docker.io/v1/"]
    helper(tmp_path, 'echo \'{"Username": "<token>", "Secret": "t"}\'')
    assert made(tmp_path, {"credsStore": "mine"}).get("x.io") == RegistryAuth(identity_token="t")
    helper(tmp_path, "echo 'credentials not found in native keychain'; exit 1")
    entry = {"credsStore": "mine", "auths": {"x.io": {"auth": ENCODED}}}
    assert made(tmp_path, entry).get("x.io") == ME


@pytest.mark.parametrize(
    ("name", "body", "reason"),
    [
        ("mine", "echo locked; exit 1", "action-failed"),
        ("mine", "echo no json", "action-failed"),
        ("absent", "", "action-failed"),
        ("../../bin/sh", "", "bad-setting"),
    ],
)
def test_a_helper_that_fails(tmp_path: Path, name: str, body: str, reason: str) -> None:
    helper(tmp_path, body)
    with pytest.raises(StackfileError) as caught:
        made(tmp_path, {"credsStore": name}).get("x.io")
    assert caught.value.reason == reason


def test_put_and_forget(tmp_path: Path) -> None:
    credentials = made(tmp_path / "new")
    for host in ("x.io", "docker.io"):
        credentials.put(host, ME)
        assert credentials.get(host) == ME
    assert os.stat(credentials.path).st_mode & 0o777 == 0o600
    assert credentials.forget("x.io")
    assert not credentials.forget("x.io")
    assert (credentials.get("x.io"), credentials.get("docker.io")) == (RegistryAuth(), ME)


def test_put_and_forget_with_a_helper(tmp_path: Path) -> None:
    helper(tmp_path, "cat >/dev/null")
    credentials = made(tmp_path, {"credsStore": "mine", "other": 1})
    credentials.put("x.io", ME)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config == {"credsStore": "mine", "other": 1, "auths": {"x.io": {}}}
    stored = (tmp_path / "asked").read_text()
    assert json.loads(stored.partition(" ")[2]) == {"ServerURL": "x.io", "Username": "me", "Secret": "pass:word"}
    assert credentials.forget("x.io")


# ---------------------------------------------------------------- of a stack


def stack(*images: str, policy: str = "", **more: ImageResource) -> Stack:
    services = {str(n): Service(name=str(n), image=image, pull_policy=policy) for n, image in enumerate(images)}
    return Stack(name="p", services=services, images=more)


def here(*tags: str) -> list[ImageRecord]:
    return [ImageRecord(id="sha256:1", manifest="", tags=tags)]


AUTHS = {"auths": {host: {"auth": ENCODED} for host in ("x.io", "y.io", "https://index.docker.io/v1/")}}


def test_only_what_a_stack_may_pull(tmp_path: Path) -> None:
    credentials = made(tmp_path, AUTHS)
    assert set(credentials.of_stack(stack("x.io/a", "z.io/b"), "", list)) == {"x.io"}
    assert set(credentials.of_stack(stack("busybox"), "", list)) == {"docker.io"}
    assert credentials.of_stack(stack("x.io/a"), "", lambda: here("x.io/a:latest")) == {}
    assert credentials.of_stack(stack("busybox"), "", lambda: here("docker.io/library/busybox:latest")) == {}
    assert set(credentials.of_stack(stack("x.io/a"), "always", lambda: here("x.io/a:latest"))) == {"x.io"}
    assert set(credentials.of_stack(stack("x.io/a", policy="daily"), "", lambda: here("x.io/a:latest"))) == {"x.io"}


def test_bases_of_builds(tmp_path: Path) -> None:
    credentials = made(tmp_path, AUTHS)
    recipe = ImageResource(name="app", base="y.io/base:1")
    assert set(credentials.of_stack(stack(app=recipe), "", list)) == {"y.io"}
    dockerfile = ImageResource(name="app", build=Build())
    assert set(credentials.of_stack(stack(app=dockerfile), "", list)) == {"x.io", "y.io", "docker.io"}


def test_without_a_file_the_engine_is_not_asked(tmp_path: Path) -> None:
    def unexpected() -> Iterator[ImageRecord]:
        raise AssertionError

    assert made(tmp_path).of_stack(stack("x.io/a"), "", unexpected) == {}
