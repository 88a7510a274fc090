"""Images from a real registry: HTTP and HTTPS, basic and bearer authentication, shared layers, kills."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import shutil
import signal
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import zstandard

from stackfile import api
from stackfile.api.client import Client
from stackfile.errors import ActionError, StackfileError
from stackfile.model.image import RegistryAuth, Transfer
from tests.conftest import Box, own_settings
from tests.integration.daemons import Served, needs_docker
from tests.peers import busybox_tar
from tests.proxy import proxy
from tests.registry import INDEX, LAYER, Registry, digest_of, registry
from tests.tokens import tokens

pytestmark = [pytest.mark.root, pytest.mark.peer]
USER, WORD = "me", "s3cr3t-word-of-mine"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass
class Place:
    """An engine, an open registry, and one with TLS and basic authentication."""

    directory: Path
    box: Box
    client: Client
    open: Registry
    secure: Registry

    @property
    def served(self) -> Served:
        return Served(self.box, self.client)

    def temporary(self) -> list[str]:
        return os.listdir(f"{self.box.settings.root}/tmp")


def layer(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def gz(tar: bytes) -> tuple[bytes, bytes, str]:
    return tar, gzip.compress(tar, 1, mtime=0), LAYER + "+gzip"


BASE = gz(busybox_tar()) if shutil.which("busybox") else gz(b"")


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    directory = Path(tempfile.mkdtemp(prefix="sf-", dir="/var/tmp"))
    (directory / "work").mkdir()
    try:
        with registry(directory / "open") as plain, registry(directory / "secure", tls=True, users={USER: WORD}) as tls:
            settings = replace(own_settings(directory), registry_ca=tls.ca)
            box = Box(settings, directory / "work", {"HOME": str(directory / "work"), "DOCKER_CONFIG": ""})
            client = api.connect(environ={**settings.environment(), "HOME": str(directory / "work")})
            try:
                yield Place(directory, box, client, plain, tls)
            finally:
                for record in client.containers():
                    client.remove(record.id, force=True, volumes=True)
                client.close()
                box.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def reason_of(error: pytest.ExceptionInfo[StackfileError]) -> str:
    return error.value.reason


# ---------------------------------------------------------------- content


def test_layers_of_every_kind_run_and_are_fetched_once(place: Place) -> None:
    top, last = layer({"hello": b"hi\n"}), layer({"etc/x": b"x"})
    layers = [
        BASE,
        (top, zstandard.compress(top), LAYER + "+zstd"),
        (last, last, LAYER),
    ]
    place.open.push_image("kinds", "1", layers, config={"Cmd": ["cat", "/hello"]})
    reference = f"{place.open.host}/kinds:1"
    told: list[Transfer] = []
    record = place.client.pull_image(reference, told=told.append)
    assert record.tags == (reference,)
    assert [digest.partition("@")[0] for digest in record.digests] == [f"{place.open.host}/kinds"]
    assert [transfer.status for transfer in told].count("Pull complete") == 3
    assert any(transfer.current == transfer.total > 0 for transfer in told)
    assert place.box.run("container", "run", "--rm", reference).stdout == "hi\n"
    place.box.run("image", "rm", reference)
    again = place.box.run("container", "run", "--rm", reference)
    assert (again.stdout, "pulling" in again.stderr) == ("hi\n", True)
    fetched = place.open.requests_for("/kinds/blobs/")
    assert place.client.pull_image(reference).id == record.id
    assert place.open.requests_for("/kinds/blobs/") == fetched + 1, "the config alone is read again"
    assert place.client.image(f"{place.open.host}/kinds@{record.digests[0].partition('@')[2]}").id == record.id
    assert place.temporary() == []
    # As Docker's: the id is the digest of the config, whatever the format of the manifest.
    place.open.push_image(
        "kinds", "docker", [(BASE[0], BASE[1], DOCKER_LAYER), *layers[1:2]], kind=DOCKER, config={"Cmd": ["true"]}
    )
    assert place.box.run("image", "pull", "-q", f"{place.open.host}/kinds:docker").stdout.startswith("sha256:")


def test_platforms(place: Place) -> None:
    ids = {}
    manifests = []
    for number, (system, architecture) in enumerate((("unknown", "unknown"), ("linux", "arm64"), ("linux", "amd64"))):
        name = f"part{number}"
        descriptor = place.open.push_image("many", name, [gz(layer({"f": name.encode()}))], architecture=architecture)
        ids[architecture] = descriptor["digest"]
        manifests.append({**descriptor, "platform": {"os": system, "architecture": architecture}})
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    top = place.open.push_manifest("many", "1", index)
    reference = f"{place.open.host}/many:1"
    record = place.client.pull_image(reference, platform="linux/amd64")
    assert record.architecture == "amd64"
    assert record.digests == (f"{place.open.host}/many@{top['digest']}",)
    assert place.client.pull_image(reference, platform="linux/arm64/v8").architecture == "arm64"
    pinned = place.client.pull_image(f"{place.open.host}/many@{ids['amd64']}")
    assert (pinned.id, pinned.tags) == (record.id, ())
    with pytest.raises(ActionError) as caught:
        place.client.pull_image(reference, platform="linux/s390x")
    assert reason_of(caught) == "platform-missing"
    missing = place.box.run("image", "pull", f"{place.open.host}/many:2", code=1)
    assert "no such image" in missing.stderr


def test_content_that_is_not_what_it_says_is_refused(place: Place) -> None:
    tar = layer({"f": b"1"})
    place.open.push_image("bad", "diff", [(layer({"f": b"2"}), gzip.compress(tar), LAYER + "+gzip")])
    place.open.push_image("bad", "escape", [gz(layer({"../../escaped": b"1"}))])
    place.open.push_image("bad", "torn", [(tar, gzip.compress(tar)[:-12], LAYER + "+gzip")])
    for tag, reason in (("diff", "digest-mismatch"), ("escape", "unsafe-path"), ("torn", "bad-archive")):
        with pytest.raises(ActionError) as caught:
            place.client.pull_image(f"{place.open.host}/bad:{tag}")
        assert reason_of(caught) == reason, tag
    with pytest.raises(ActionError) as caught:
        place.client.pull_image("127.0.0.1:1/x")
    assert reason_of(caught) == "registry-unreachable"
    assert place.temporary() == []


# ---------------------------------------------------------------- who we are


def test_basic_authentication_over_tls(place: Place) -> None:
    place.secure.push_image("private", "1", [gz(layer({"f": b"private"}))])
    reference = f"{place.secure.host}/private:1"
    denied = place.box.run("image", "pull", reference, code=1)
    assert "denies access" in denied.stderr
    wrong = place.box.run("login", "-u", USER, "--password-stdin", place.secure.host, stdin="wrong\n", code=1)
    assert "denies access" in wrong.stderr
    assert not (place.box.directory / ".docker/config.json").exists()
    place.box.run("login", "-u", USER, "--password-stdin", place.secure.host, stdin=WORD + "\n")
    config = place.box.directory / ".docker/config.json"
    assert config.stat().st_mode & 0o777 == 0o600
    assert "pulled" in place.box.run("image", "pull", reference).stdout
    (place.box.directory / "stack.yaml").write_text(
        f"name: priv\nservices:\n  one:\n    image: {reference}\n    command: ['true']\n    pull_policy: always\n"
    )
    place.box.run("pull")
    place.box.run("up", "--no-start")
    place.box.run("down")
    place.box.run("logout", place.secure.host)
    assert place.secure.host not in json.loads(config.read_text())["auths"]
    assert WORD not in place.box.logs()
    base64_word = "bWU6czNjcjN0LXdvcmQtb2YtbWluZQ"
    for root in (place.box.settings.root, place.box.settings.run):
        for path in Path(root).glob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert WORD.encode() not in content, path
                assert base64_word.encode() not in content, path


def test_an_unknown_authority_and_plain_http_elsewhere_are_refused(place: Place) -> None:
    with proxy(place.open.host) as between:
        # Not loopback's name, and not listed: TLS alone.
        with pytest.raises(ActionError) as caught:
            place.client.pull_image(f"{_own_address()}:{between.port}/kinds:1")
        assert reason_of(caught) == "registry-unreachable"
    settings = replace(own_settings(place.directory / "other"), registry_ca="")
    (place.directory / "other").mkdir()
    box = Box(settings, place.directory / "other")
    try:
        failed = box.run("image", "pull", f"{place.secure.host}/private:1", code=1)
        assert "CERTIFICATE_VERIFY_FAILED" in failed.stderr
    finally:
        box.close()


def _own_address() -> str:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("10.255.255.255", 1))
            return str(probe.getsockname()[0])
        except OSError:
            return "192.0.2.1"


def test_bearer_tokens(place: Place) -> None:
    with (
        tokens(place.directory / "tokens", {USER: WORD}) as service,
        registry(place.directory / "token-registry", token=service.config()) as guarded,
    ):
        reference = f"{guarded.host}/team/thing:1"
        place.open.push_image("team/thing", "1", [gz(layer({"f": b"bearer"}))])
        # Filled behind its back: the same storage.
        shutil.copytree(place.open.storage, guarded.storage, dirs_exist_ok=True)
        for auth in (RegistryAuth(), RegistryAuth(username=USER, password="wrong")):
            with pytest.raises(ActionError) as caught:
                place.client.pull_image(reference, auth=auth)
            assert reason_of(caught) == "registry-denied"
        service.asked.clear()
        record = place.client.pull_image(reference, auth=RegistryAuth(username=USER, password=WORD))
        assert record.tags == (reference,)
        assert [user for user, _ in service.asked] == [USER], "one token serves manifest and blobs"
        assert service.asked[0][1]["scope"] == ["repository:team/thing:pull"]


# ---------------------------------------------------------------- at once, and broken off


def test_parallel_pulls_share_their_layers(place: Place) -> None:
    shared = gz(layer({"shared": random.Random(1).randbytes(3_000_000)}))
    for name in ("left", "right"):
        place.open.push_image(name, "1", [shared, gz(layer({name: name.encode()}))])
    errors: list[BaseException] = []

    def pull(name: str) -> None:
        environ = {**place.box.settings.environment(), "HOME": str(place.box.directory)}
        try:
            with api.connect(environ=environ) as client:
                client.pull_image(f"{place.open.host}/{name}:1")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=pull, args=(name,)) for name in ("left", "right")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert place.open.requests_for(digest_of(shared[1])) == 1


def test_a_broken_connection_is_taken_up_where_it_broke(place: Place) -> None:
    big = gz(layer({"big": random.Random(2).randbytes(2_000_000)}))
    place.open.push_image("breaks", "1", [big])
    with proxy(place.open.host) as between:
        between.breaks[digest_of(big[1])] = 3
        place.client.pull_image(f"{between.host}/breaks:1")
        assert len(between.ranges) == 3
        assert between.counts[digest_of(big[1])] == 4


def test_a_client_that_goes_away_stops_its_pull(place: Place) -> None:
    big = gz(layer({"big": random.Random(3).randbytes(1_000_000)}))
    place.open.push_image("leaves", "1", [big])
    with proxy(place.open.host) as between:
        between.held.add(digest_of(big[1]))
        process = place.box.popen("image", "pull", f"{between.host}/leaves:1")
        assert between.reached.wait(20)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
        between.gate.set()
        deadline = time.monotonic() + 10
        while place.temporary() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert place.temporary() == []
        with pytest.raises(StackfileError):
            place.client.image(f"{between.host}/leaves:1")


def test_a_killed_daemon_leaves_no_half_image_and_reuses_whole_layers(place: Place) -> None:
    first = gz(layer({"first": random.Random(4).randbytes(500_000)}))
    second = gz(layer({"second": random.Random(5).randbytes(500_000)}))
    place.open.push_image("killed", "1", [first, second])
    with proxy(place.open.host) as between:
        between.held.add(digest_of(second[1]))
        reference = f"{between.host}/killed:1"
        process = place.box.popen("image", "pull", reference)
        assert between.reached.wait(20)
        whole = Path(place.box.settings.root) / "layers" / digest_of(first[0]).partition(":")[2]
        deadline = time.monotonic() + 20
        while not whole.is_dir() and time.monotonic() < deadline:
            time.sleep(0.05)
        with api.connect(environ=place.box.settings.environment(), check=False) as client:
            os.kill(client.ping().pid, signal.SIGKILL)
        process.communicate(timeout=20)
        assert process.returncode != 0
        between.gate.set()
        place.client.close()
        deadline = time.monotonic() + 20
        while True:
            try:
                assert reference not in [tag for image in place.client.images() for tag in image.tags]
                break
            except StackfileError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert place.temporary() == []
        assert whole.is_dir(), "what was whole stays for the next pull"
        record = place.client.pull_image(reference)
        assert between.counts[digest_of(first[1])] == 1
        assert len(record.layers) == 2
    place.box.run("image", "rm", reference)
    assert not whole.exists()


def test_the_daemon_ends_though_a_registry_is_silent(place: Place) -> None:
    big = gz(layer({"big": random.Random(7).randbytes(400_000)}))
    place.open.push_image("silent", "1", [big])
    directory = place.directory / "silent"
    directory.mkdir()
    box = Box(own_settings(directory), directory)
    with proxy(place.open.host) as between:
        between.held.add(digest_of(big[1]))
        try:
            process = box.popen("image", "pull", f"{between.host}/silent:1")
            assert between.reached.wait(20)
            began = time.monotonic()
            box.run("daemon", "stop")
            assert time.monotonic() - began < 10
            process.communicate(timeout=20)
            assert process.returncode != 0
        finally:
            between.gate.set()
            box.close()


# ---------------------------------------------------------------- stacks and the docker CLI


def test_a_stack_pulls_what_it_needs(place: Place) -> None:
    place.open.push_image("app", "1", [BASE, gz(layer({"v": b"1\n"}))], config={"Cmd": ["cat", "/v"]})
    place.open.push_image("base", "1", [BASE])
    host = place.open.host
    place.box.stack(
        f"""
name: pulls
images:
  mine:
    from: {host}/base:1
    steps:
      - run: echo built > /built
services:
  web:
    image: {host}/app:1
    command: sleep 1000
    stop_grace_period: 100ms
  own:
    image: mine
    command: sleep 1000
    stop_grace_period: 100ms
"""
    )
    place.box.run("image", "rm", "-f", f"{host}/kinds:1", code=None)
    plan = place.box.run("plan").stdout
    assert f"image.{host}/app:1" in plan
    up = place.box.run("up").stdout
    assert "pulled" in up
    before = {item["name"]: item["id"] for item in place.box.containers()}
    assert place.box.run("exec", "web", "cat", "/v").stdout == "1\n"
    assert place.box.run("exec", "own", "cat", "/built").stdout == "built\n"
    assert "up to date" in place.box.run("up").stdout
    # What the registry has now counts only where it is asked for.
    place.open.push_image("app", "1", [BASE, gz(layer({"v": b"2\n"}))], config={"Cmd": ["cat", "/v"]})
    place.box.run("up")
    assert {item["name"]: item["id"] for item in place.box.containers()} == before
    place.box.run("up", "--pull", "always")
    after = {item["name"]: item["id"] for item in place.box.containers()}
    assert after["pulls-web-1"] != before["pulls-web-1"]
    assert after["pulls-own-1"] == before["pulls-own-1"]
    assert place.box.run("exec", "web", "cat", "/v").stdout == "2\n"
    place.box.run("up", "--pull", "always")
    assert {item["name"]: item["id"] for item in place.box.containers()} == after
    place.box.run("down")
    missing = place.box.stack(f"name: pulls\nservices:\n  web:\n    image: {host}/app:none\n")
    failed = place.box.run("up", code=1)
    assert f"{host}/app:none" in failed.stderr + failed.stdout
    assert place.box.containers("pulls") == []
    missing.unlink()


@needs_docker
def test_docker_pulls(place: Place) -> None:
    served = place.served
    reference = f"{place.open.host}/dockers:1"
    place.open.push_image("dockers", "1", [BASE, gz(layer({"d": random.Random(6).randbytes(300_000)}))])
    out = served.docker("pull", reference).stdout
    assert "Pull complete" in out or "Already exists" in out
    assert f"Status: Downloaded newer image for {reference}" in out
    assert f"Image is up to date for {reference}" in served.docker("pull", reference).stdout
    digest = place.client.image(reference).digests[0].partition("@")[2]
    assert digest in served.docker("images", "--digests").stdout
    assert digest in served.docker("pull", f"{place.open.host}/dockers@{digest}").stdout
    assert "not found" in served.docker("pull", f"{place.open.host}/dockers:none", code=1).stderr
    # `docker run` of an image that is not here pulls it.
    served.docker("rmi", "-f", reference)
    assert served.docker("run", "--rm", reference, "echo", "ran").stdout == "ran\n"
    place.secure.push_image("mine", "1", [BASE])
    private = f"{place.secure.host}/mine:1"
    assert served.docker("pull", private, code=1).stderr
    bad = served.docker("login", "-u", USER, "--password-stdin", place.secure.host, stdin="wrong", code=1)
    assert "unauthorized" in bad.stderr
    served.docker("login", "-u", USER, "--password-stdin", place.secure.host, stdin=WORD)
    served.docker("pull", private)
    served.docker("logout", place.secure.host)
