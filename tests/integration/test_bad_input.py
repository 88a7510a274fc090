"""Bad input: the right reason at the right place with the right exit code, and nothing started."""

from __future__ import annotations

import json
import os

import pytest

from tests.conftest import Box

IMAGES = """images:
  app:
    from: scratch
    steps:
      - host: {programs: [sh]}
"""

CASES = {
    # name: (stack file, (reason, line, column))
    "yaml-syntax": ("services: {web: [\n", "yaml-syntax", 2, 1),
    "duplicate-key": ("services:\n  web:\n    image: a\n    image: b\n", "duplicate-key", 4, 5),
    "unknown-key": ("services:\n  web:\n    image: a\n    comand: b\n", "unknown-key", 4, 5),
    "bad-type": ("services:\n  web:\n    image: a\n    ports: 80\n", "bad-type", 4, 12),
    "bad-port": ('services:\n  web:\n    image: a\n    ports: ["99999:80"]\n', "bad-port", 4, 13),
    "bad-duration": (
        "services:\n  web:\n    image: a\n    healthcheck: {test: x, interval: soon}\n",
        "bad-duration",
        4,
        38,
    ),
    "unquoted-template": ("services:\n  web:\n    image: {{ values.x }}\n", "unquoted-template", 3, 12),
    "template-undefined": ('services:\n  web:\n    image: "{{ values.nope }}"\n', "template-undefined", 3, 13),
    "variable-required": ('services:\n  web:\n    image: "${IMAGE:?set it}"\n', "variable-required", 3, 12),
    "unknown-reference": ("services:\n  web:\n    image: a\n    depends_on: [nope]\n", "unknown-reference", 4, 18),
    "dependency-cycle": (
        "services:\n  a:\n    image: x\n    depends_on: [b]\n  b:\n    image: x\n    depends_on: [a]\n",
        "dependency-cycle",
        4,
        18,
    ),
    "bad-size": ("services:\n  web:\n    image: a\n    mem_limit: much\n", "bad-size", 4, 16),
}


def failures(stderr: str) -> list[dict[str, object]]:
    return list(json.loads(stderr)["errors"])


@pytest.mark.parametrize("name", CASES)
def test_reason_place_and_exit_code(box: Box, name: str) -> None:
    text, reason, line, column = CASES[name]
    box.stack(text)
    for verb in ("validate", "up"):
        result = box.run("--json", verb, code=3)
        (error,) = failures(result.stdout)
        at = error["at"]
        assert (error["reason"], at) == (reason, {"file": "stack.yaml", "line": line, "column": column})
    assert not os.path.exists(box.settings.run), "nothing was started"


def test_two_mistakes_give_two_messages(box: Box) -> None:
    box.stack("services:\n  web:\n    image: a\n    comand: b\n  db:\n    image: c\n    ports: 80\n")
    errors = failures(box.run("--json", "up", code=3).stdout)
    assert [(error["reason"], error["at"]["line"]) for error in errors] == [("unknown-key", 4), ("bad-type", 7)]
    text = box.run("up", code=3).stderr
    assert "stack.yaml:4:5" in text
    assert "stack.yaml:7:12" in text
    assert "^" in text
    assert "Traceback" not in text


@pytest.mark.root
def test_missing_things_leave_nothing_half_done(box: Box) -> None:
    box.stack(IMAGES + "services:\n  web: {image: not-here}\n  ok: {image: app, command: [sh, -c, 'sleep 60']}\n")
    result = box.run("--json", "up", code=1)
    assert "image-not-found" in result.stdout + result.stderr
    assert box.containers() == []
