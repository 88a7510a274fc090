"""Saved plans: applied exactly, refused when a file, an image or the machine changed in between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stackfile import api
from tests.conftest import Box

pytestmark = pytest.mark.root

STACK = """
values: {level: info}
images:
  app:
    from: scratch
    steps:
      - host: {programs: [busybox]}
      - run: ["busybox", "mkdir", "-p", "/bin", "/srv"]
      - run: ["busybox", "--install", "-s", "/bin"]
      - copy: {source: site, target: /srv}
services:
  web:
    image: app
    command: [sleep, "1000"]
    stop_grace_period: 0s
    environment: {LEVEL: "{{ values.level }}"}
    env_file: [web.env]
    mem_limit: 64m
    configs: [{source: conf, target: /etc/conf}]
    secrets: [token]
  db:
    image: app
    command: [sleep, "1000"]
    stop_grace_period: 0s
configs:
  conf: {file: conf.txt}
secrets:
  token: {file: token.txt}
"""


def install(box: Box) -> None:
    box.stack(STACK)
    for name, text in {"web.env": "PASSWORD=tops3cret\n", "conf.txt": "one\n", "token.txt": "s3same\n"}.items():
        (box.directory / name).write_text(text)
    (box.directory / "site").mkdir()
    (box.directory / "site" / "index.html").write_text("hello\n")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def refused(box: Box, *words: str) -> None:
    """`apply` says exit 5, `stale-plan` and what differs, and changes nothing."""
    before = identities(box)
    result = box.run("--json", "apply", "change.plan", code=5)
    (error,) = json.loads(result.stdout.splitlines()[-1])["errors"]
    assert error["reason"] == "stale-plan"
    text = " ".join(error["details"]["differences"]) if error.get("details") else error["message"]
    assert all(word in text for word in words), (words, text)
    assert identities(box) == before


def identities(box: Box) -> dict[str, tuple[str, str]]:
    with api.connect(f"{box.settings.run}/stackfile.sock", start=False) as client:
        return {one.spec.name: (one.id, one.state.started_at) for one in client.containers()}


def save(box: Box) -> dict[str, Any]:
    box.run("plan", "-o", "change.plan")
    document: dict[str, Any] = json.loads((box.directory / "change.plan").read_text())
    return document


def test_saved_plans(box: Box) -> None:
    install(box)
    stack = box.directory / "stack.yaml"

    # the very first plan: applied to an empty machine
    document = save(box)
    assert document["format"] == "stackfile.plan/v1"
    text = json.dumps(document)
    assert "s3same" not in text
    inputs = {item.get("path") or item["context"]: item["digest"] for item in document["fingerprint"]["inputs"]}
    assert set(inputs) == {"stack.yaml", "web.env", "conf.txt", "token.txt", "app"}
    assert inputs["stack.yaml"].startswith("sha256:")
    assert inputs["token.txt"].startswith("hmac:")
    box.run("apply", "change.plan")
    first = identities(box)
    assert box.run("exec", "web", "cat", "/run/secrets/token").stdout == "s3same\n"
    assert box.run("up").stdout.count("up to date") == 1
    refused(box, "service.web: container", "is new")

    # exactly this change, although the file says something else meanwhile: no, a changed file is refused
    edit(stack, "mem_limit: 64m", "mem_limit: 96m")
    (change,) = [c for action in save(box)["actions"] for c in action["changes"]]
    assert (change["path"], change["from"], change["to"], change["strategy"]) == (
        "/resources/memory", 64 << 20, 96 << 20, "in-place"
    )  # fmt: skip
    assert change["cause"]["at"] == {"file": "stack.yaml", "line": 18, "column": 16}
    edit(stack, "level: info", "level: debug")
    refused(box, "stack.yaml changed")
    edit(stack, "level: debug", "level: info")
    for name, old in (("web.env", "tops3cret"), ("token.txt", "s3same"), ("site/index.html", "hello")):
        edit(box.directory / name, old, "other")
        refused(box, {"site/index.html": "context of image app"}.get(name, f"{name} changed"))
        edit(box.directory / name, "other", old)

    # the machine changed: somebody's limit, a stopped container, another up in between
    box.run("kill", "db")
    save(box)
    box.run("start", "db")
    refused(box, "service.db", "running was false, is true")
    box.run("kill", "web")
    edit(stack, "mem_limit: 96m", "mem_limit: 80m")
    save(box)
    box.run("up")
    refused(box, "service.web")
    assert {name: pair[0] for name, pair in identities(box).items()} == {name: pair[0] for name, pair in first.items()}

    # an image changed: another one was built in between
    edit(box.directory / "site" / "index.html", "hello", "welcome")
    document = save(box)
    assert {action["address"]: action["action"] for action in document["actions"]} == {
        "image.app": "build", "service.web": "recreate", "service.db": "recreate",
    }  # fmt: skip
    box.run("build")
    refused(box, "image.app")

    # a plan that was edited by hand
    document["actions"] = []
    (box.directory / "change.plan").write_text(json.dumps(document))
    refused(box, "changed after it was made")
    (box.directory / "change.plan").write_text("{}")
    box.run("apply", "change.plan", code=3)

    # a secret's new content is not in the plan: it is read when it is applied, and must be the same
    edit(box.directory / "token.txt", "s3same", "n3wtoken")
    assert "n3wtoken" not in json.dumps(save(box))
    box.run("apply", "change.plan")
    assert box.run("exec", "web", "cat", "/run/secrets/token").stdout == "n3wtoken\n"
    assert box.run("exec", "web", "cat", "/srv/index.html").stdout == "welcome\n"
    explained = box.run("explain", "web").stdout.splitlines()
    assert explained[0].startswith("service.web   stack.yaml:")
    assert "ago by `apply`" in explained[1]
    assert explained[2:] == ["  next up: nothing", "  image.app: 4 steps, on scratch"]
    assert box.run("up").stdout.count("up to date") == 1
