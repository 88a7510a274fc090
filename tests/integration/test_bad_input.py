"""Bad input: the right reason at the right place with the right exit code, and nothing started.

Most is loaded in this process as the command line loads it; the command line itself says the same of a few.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stackfile.api import LoadOptions, load
from stackfile.errors import ErrorList, StackfileError
from tests.conftest import Box

Found = tuple[str, str, int, int]
"""reason, file, line, column"""

IMAGES = """images:
  app:
    from: scratch
    steps:
      - host: {programs: [sh]}
"""


@dataclass(frozen=True)
class Case:
    """Files (`stack.yaml` is a text alone), options, and every mistake in the order of the report."""

    files: str | Mapping[str, str]
    found: tuple[Found, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)


def one(text: str, reason: str, line: int, column: int, **rest: Any) -> Case:
    return Case(text, ((reason, "stack.yaml", line, column),), **rest)


def web(keys: str, reason: str, line: int, column: int, rest: str = "") -> Case:
    return one(f"services:\n  web:\n    image: a\n{keys}\n{rest}", reason, line, column)


CASES = {
    "yaml-syntax": one("services: {web: [\n", "yaml-syntax", 2, 1),
    "not-utf8": one("services:\n  web: {image: \udcff}\n", "yaml-syntax", 2, 16),
    "not-a-mapping": one("- a\n- b\n", "not-a-mapping", 1, 1),
    "duplicate-key": web("    image: b", "duplicate-key", 4, 5),
    "unknown-key": web("    comand: b", "unknown-key", 4, 5),
    "unknown-top-key": one("servces: {}\n", "unknown-key", 1, 1),
    "missing-key": one("services:\n  web:\n    command: a\n", "missing-key", 3, 5),
    "bad-type": web("    ports: 80", "bad-type", 4, 12),
    "bad-value": web("    restart: sometimes", "bad-value", 4, 14),
    "bad-name": one("services:\n  we b: {image: a}\n", "bad-name", 2, 3),
    "bad-port": web('    ports: ["99999:80"]', "bad-port", 4, 13),
    "bad-duration": web("    healthcheck: {test: x, interval: soon}", "bad-duration", 4, 38),
    "bad-size": web("    mem_limit: much", "bad-size", 4, 16),
    "unquoted-template": one("services:\n  web:\n    image: {{ values.x }}\n", "unquoted-template", 3, 12),
    "template-syntax": one('services:\n  web:\n    image: "a{{ 1 + }}"\n', "template-syntax", 3, 14),
    "template-undefined": one('services:\n  web:\n    image: "{{ values.nope }}"\n', "template-undefined", 3, 13),
    "template-not-scalar": one(
        'values: {l: [1]}\nservices:\n  web:\n    image: "a-{{ values.l }}"\n', "template-not-scalar", 4, 15
    ),
    "variable-required": one('services:\n  web:\n    image: "${IMAGE:?set it}"\n', "variable-required", 3, 12),
    "interpolation-syntax": one('services:\n  web:\n    image: "${IMAGE"\n', "interpolation-syntax", 3, 12),
    "unknown-reference": web("    depends_on: [nope]", "unknown-reference", 4, 18),
    "unknown-secret": web("    environment: {A: {secret: nope}}", "unknown-reference", 4, 22),
    "dependency-cycle": one(
        "services:\n  a:\n    image: x\n    depends_on: [b]\n  b:\n    image: x\n    depends_on: [a]\n",
        "dependency-cycle", 4, 18,
    ),
    "image-cycle": one("images:\n  a: {from: b}\n  b: {from: a}\n", "image-cycle", 2, 13),
    "values-cycle": one(
        'values:\n  a: "{{ values.b }}"\n  b: "{{ values.a }}"\n', "values-cycle", 2, 6
    ),
    "unknown-value": one("values: {level: info}\n", "unknown-value", 0, 0, options={"sets": (("set", "levl=debug"),)}),
    "values-invalid": one("values: {port: 80}\n", "values-invalid", 0, 0, options={"sets": (("set", "port=x"),)}),
    "unknown-environment": one(
        "environments: {prod: {}}\n", "unknown-environment", 0, 0, options={"environment": "prd"}
    ),
    "port-collision": one(
        'services:\n  a: {image: x, ports: ["80:80"]}\n  b: {image: x, ports: ["80:81"]}\n', "port-collision", 3, 25
    ),
    "replicas-conflict": web("    scale: 2\n    deploy: {replicas: 3}", "replicas-conflict", 4, 12),
    "alias-bomb": one("x-a: &a [b, *a]\n", "alias-bomb", 1, 13),
    "file-not-found": web("    env_file: no.env", "file-not-found", 4, 15),
    "extends-cycle": one("services:\n  a: {image: x, extends: a}\n", "extends-cycle", 2, 26),
    "no-stack-file": Case({}, (("no-stack-file", "", 0, 0),)),
    "wrong-dialect": Case(
        {"compose.yaml": "services:\n  web: {image: a}\nvalues: {}\n"}, (("wrong-dialect", "compose.yaml", 3, 1),)
    ),
    "two in a file": Case(
        "services:\n  web:\n    image: a\n    comand: b\n  db:\n    image: c\n    ports: 80\n",
        (("unknown-key", "stack.yaml", 4, 5), ("bad-type", "stack.yaml", 7, 12)),
    ),
    "beside a wrong type": Case(
        "networks: [n]\nservices:\n  web:\n    image: a\n    networks: {n: {}, q: 5}\n    mem_limit: 12q\n  db: 5\n"
        "volumes: {v: {driver: [x]}}\n",
        (
            ("not-a-mapping", "stack.yaml", 1, 11), ("bad-type", "stack.yaml", 5, 26),
            ("bad-size", "stack.yaml", 6, 16), ("not-a-mapping", "stack.yaml", 7, 7), ("bad-type", "stack.yaml", 8, 23),
        ),
    ),
    "of several files": Case(
        {
            "stack.yaml": "include: [part/one.yaml, part/two.yaml]\nservices: {web: {image: a, usr: b}}\n",
            "stack.override.yaml": "services: {web: {ports: 80}}\n",
            "part/one.yaml": "services: {one: {image: a, mem_limit: 12q}}\n",
            "part/two.yaml": "services: {two: [\n",
        },
        (
            ("bad-size", "part/one.yaml", 1, 39), ("yaml-syntax", "part/two.yaml", 2, 1),
            ("bad-type", "stack.override.yaml", 1, 25), ("unknown-key", "stack.yaml", 2, 28),
        ),
    ),
    "of a merge": Case(
        {
            "stack.yaml": "services:\n  web: {image: a, volumes: [/v]}\n",
            "stack.override.yaml": "services:\n  web: {volumes: {v: x}, comand: y}\n",
        },
        (("merge-conflict", "stack.override.yaml", 2, 18), ("unknown-key", "stack.override.yaml", 2, 26)),
    ),
}  # fmt: skip


def write(directory: Path, files: str | Mapping[str, str]) -> None:
    for name, text in ({"stack.yaml": files} if isinstance(files, str) else files).items():
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode(errors="surrogateescape"))


def mistakes(directory: Path, case: Case) -> list[Found]:
    with pytest.raises(StackfileError) as caught:
        load(LoadOptions(directory=str(directory), environ=case.environ, **case.options))
    error = caught.value
    errors = error.errors if isinstance(error, ErrorList) else (error,)
    assert {each.exit_code for each in (error, *errors)} == {3}
    places = ((each.reason, each.at) for each in errors)
    return [(reason, at.file, at.line, at.column) if at else (reason, "", 0, 0) for reason, at in places]


@pytest.mark.parametrize("name", CASES)
def test_reason_place_and_exit_code(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    write(tmp_path, case.files)
    found = mistakes(tmp_path, case)
    assert [entry[0] for entry in found] == [entry[0] for entry in case.found]
    for (_, file, line, column), wanted in zip(found, case.found, strict=True):
        if wanted[2]:
            assert (file, line, column) == wanted[1:]


def test_the_command_line_says_the_same(box: Box) -> None:
    case = CASES["of several files"]
    write(box.directory, case.files)
    for verb in ("validate", "up", "plan"):
        errors = json.loads(box.run("--json", verb, code=3).stdout)["errors"]
        found = [(e["reason"], e["at"]["file"], e["at"]["line"], e["at"]["column"]) for e in errors]
        assert found == list(case.found)
    text = box.run("up", code=3).stderr
    for _, file, line, column in case.found:
        assert f"{file}:{line}:{column}" in text
    assert "^" in text
    assert "Traceback" not in text
    assert not os.path.exists(box.settings.run), "nothing was started"


@pytest.mark.root
def test_missing_things_leave_nothing_half_done(box: Box) -> None:
    box.stack(
        IMAGES
        + "services:\n  web: {image: not-here, pull_policy: never}\n  ok: {image: app, command: [sh, -c, 'sleep 60']}\n"
    )
    result = box.run("--json", "up", code=1)
    assert "image-not-found" in result.stdout + result.stderr
    assert box.containers() == []
