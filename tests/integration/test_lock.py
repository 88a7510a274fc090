"""`lock` and `--locked` against a real registry whose tags move, and disappear."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Box, own_settings
from tests.integration.test_registry import BASE, USER, WORD, gz, layer
from tests.peers import compose
from tests.registry import INDEX, Registry, registry

pytestmark = [pytest.mark.root, pytest.mark.peer]


@dataclass
class Place:
    box: Box
    registry: Registry
    directory: Path

    def push(self, repository: str, tag: str, says: str) -> dict[str, Any]:
        """An image that runs, with a file that says this; its descriptor."""
        config = {"Env": ["PATH=/bin"], "Cmd": ["sleep", "1000"]}
        return self.registry.push_image(repository, tag, [BASE, gz(layer({"says": says.encode()}))], config=config)

    def push_index(self, repository: str, tag: str, *manifests: dict[str, Any]) -> str:
        top = {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(manifests)}
        return str(self.registry.push_manifest(repository, tag, top)["digest"])

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.directory / name.replace("_", ".")).write_text(text.replace("@", self.registry.host))

    def lock(self, *args: str, code: int = 0) -> str:
        return self.box.run("lock", *args, code=code).stdout

    def image_of(self, service: str) -> str:
        """What the image of a running service says."""
        return self.box.run("exec", service, "cat", "/says").stdout


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    directory = Path(tempfile.mkdtemp(prefix="sf-", dir="/var/tmp"))
    work = directory / "work"
    (work / "app").mkdir(parents=True)
    try:
        with registry(directory / "registry", users={USER: WORD}) as served:
            box = Box(own_settings(directory), work, {"HOME": str(directory), "DOCKER_CONFIG": str(directory)})
            try:
                box.run("login", served.host, "-u", USER, "--password-stdin", stdin=WORD)
                yield Place(box, served, work)
                box.run("-p", "locked", "down", "-t", "0", code=None)
            finally:
                box.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


STACK = """
name: locked
values: {tag: "1"}
environments:
  dev: {default: true}
  other: {values: {tag: "2"}}
images:
  made: {from: "@/base:1", steps: [{run: "echo made > /made"}]}
  built:
    build: {context: app, args: {VERSION: "1"}}
services:
  web: {image: "@/web:{{ values.tag }}", init: true, stop_grace_period: 1s}
  made: {image: made, init: true}
  built: {image: built, init: true}
  extra: {image: "@/extra", profiles: [extra], init: true}
"""
DOCKERFILE = """\
ARG VERSION=0
FROM @/tools:${VERSION} AS tools
FROM @/base:1
COPY --from=tools /says /tool
"""


def test_a_lock_holds_what_moves(place: Place) -> None:
    first = {name: place.push(name, "1", f"{name}-1")["digest"] for name in ("base", "tools")}
    amd = place.push("web", "amd", "web-1")
    platform = {"os": "linux", "architecture": "amd64"}
    attestation = {**amd, "platform": {"os": "unknown", "architecture": "unknown"}}
    first["web"] = place.push_index("web", "1", {**amd, "platform": platform}, attestation)
    first["web2"] = place.push("web", "2", "web-2")["digest"]
    first["extra"] = place.push("extra", "latest", "extra-1")["digest"]
    place.write(stack_yaml=STACK)
    (place.directory / "app" / "Dockerfile").write_text(DOCKERFILE.replace("@", place.registry.host))
    host, box = place.registry.host, place.box

    # Refused without a file, and nothing was begun.
    assert "there is no stack.lock" in box.run("up", "--locked", code=5).stderr

    # Every environment and profile, the base of a recipe, the stages of a Dockerfile.
    written = json.loads(place.lock("--json"))
    assert {name: image["digest"] for name, image in written["images"].items()} == {
        f"{host}/base:1": first["base"],
        f"{host}/extra:latest": first["extra"],
        f"{host}/tools:1": first["tools"],
        f"{host}/web:1": first["web"],
        f"{host}/web:2": first["web2"],
    }
    assert {tuple(image["platforms"]) for image in written["images"].values()} == {("linux/amd64",)}
    text = (place.directory / "stack.lock").read_text()
    assert "up to date: 5 images" in place.lock()

    # The tags move before anything was pulled: what is locked is used, everywhere.
    for name in ("base", "tools", "web", "extra"):
        place.push(name, "latest" if name == "extra" else "1", f"{name}-moved")
    assert place.lock("--check", "--update", code=6).count(" → ") == 4
    planned = box.run("plan", "--locked").stdout
    assert f"image.{host}/web:1@{first['web']}" in planned
    box.run("up", "--locked")
    assert (place.image_of("web"), place.image_of("made"), place.image_of("built")) == ("web-1", "base-1", "base-1")
    assert box.run("exec", "built", "cat", "/tool").stdout == "tools-1"
    assert box.run("plan", "--locked", "--exit-code").stdout.startswith("locked is up to date")
    assert (place.directory / "stack.lock").read_text() == text

    # The name means something else here by now: the locked content is used all the same.
    box.run("pull", "web")
    box.run("up", "--pull", "never", "-d")
    assert place.image_of("web") == "web-moved"
    box.run("pull", "--locked", "web")
    box.run("plan", "--locked", "-o", "p.plan")
    box.run("apply", "p.plan")
    assert place.image_of("web") == "web-1"

    # A reference that is not locked, in the environment that is applied or in another one.
    (place.directory / "stack.yaml").write_text((place.directory / "stack.yaml").read_text().replace('"2"', '"amd"'))
    refused = box.run("-E", "other", "plan", "--locked", code=5)
    assert f"{host}/web:amd is not in stack.lock\n  --> stack.yaml:12:16\n" in refused.stderr
    box.run("-E", "other", "lock")
    assert f"{host}/web:2" in (place.directory / "stack.lock").read_text(), "with -E nothing is forgotten"
    changes = json.loads(place.lock("--json"))["changes"]
    assert [(each["change"], each["reference"]) for each in changes] == [("remove", f"{host}/web:2")]

    # One reference asked again, by the name of the file; then all, with the registry gone.
    moved = json.loads(place.lock("--update", f"{host}/web:1", "--json"))["changes"]
    assert [(each["change"], each["before"]) for each in moved] == [("update", first["web"])]


def test_without_a_registry_the_digest_of_the_last_pull_counts(place: Place) -> None:
    digest = place.push("app", "1", "one")["digest"]
    directory = place.directory / "app"
    lock = directory / "stack.lock"
    (directory / "compose.yaml").write_text(f'services: {{a: {{image: "{place.registry.host}/app:1"}}}}')
    unpulled = place.box.run("lock", "--offline", cwd=directory, code=1)
    assert "--> compose.yaml:1:23\n" in unpulled.stderr
    place.box.run("pull", cwd=directory)
    place.push("app", "1", "two")
    place.box.run("lock", "--offline", cwd=directory)
    assert digest in lock.read_text()
    place.box.run("lock", "--update", cwd=directory)
    assert digest not in lock.read_text()


def test_config_shows_digests_as_compose_does(place: Place) -> None:
    """The real Compose asks our engine what it has to say of the registry."""
    work = place.directory / "shown"
    work.mkdir()
    one = place.push("shown/one", "1", "one")
    place.push("shown/two", "latest", "two")
    host = place.registry.host
    (work / "compose.yaml").write_text(f"""
services:
  a: {{image: "{host}/shown/one:1", depends_on: [b]}}
  b: {{image: "{host}/shown/two"}}
  c: {{image: "{host}/shown/one:1@{one["digest"]}"}}
  d: {{build: .}}
  e: {{build: ., image: "{host}/shown/one:1", profiles: [p]}}
volumes: {{v: {{}}}}
""")
    environment = {
        **os.environ, **place.box.environment, "DOCKER_HOST": f"unix://{place.box.settings.socket}",
    }  # fmt: skip
    for options in (
        ["--resolve-image-digests"],
        ["--lock-image-digests"],
        ["--lock-image-digests", "--resolve-image-digests", "a"],
        ["--lock-image-digests", "--no-interpolate"],
    ):
        theirs = subprocess.run(
            [compose(), "--profile", "p", "config", "--format", "json", *options],
            cwd=work, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert theirs.returncode == 0, theirs.stderr
        ours = place.box.run("--profile", "p", "config", "--format", "json", *options, cwd=work)
        assert json.loads(ours.stdout) == json.loads(theirs.stdout), options
    assert place.box.run("config", "--lock-image-digests", cwd=work).stdout.startswith("services:\n  a:\n    image: ")
    (work / "compose.yaml").write_text(f"services: {{a: {{image: '{host}/shown/three:1'}}}}")
    assert "--> compose.yaml:1:23" in place.box.run("config", "--lock-image-digests", "-q", cwd=work, code=1).stderr
    (work / "stack.yaml").write_text(
        f"images: {{i: {{from: '{host}/shown/one:1'}}, j: {{from: i}}}}\n"
        f"services: {{a: {{image: j}}, b: {{image: '{host}/shown/one:1'}}}}"
    )
    plain = place.box.json("config", "--lock-image-digests", cwd=work)
    pinned = f"{host}/shown/one:1@{one['digest']}"
    assert plain["images"] == {"i": {"from": pinned}, "j": {"from": "i"}}
    assert [plain["services"][name]["image"] for name in "ab"] == ["j", pinned]
