"""The options of `config`: the same lists and the same form as the real Compose."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import peers
from tests.compose.judge import ENVIRONMENT, differences

pytestmark = pytest.mark.peer

FILE = """\
services:
  web:
    image: ${IMG:-nginx}:${TAG:?need}
    env_file: [a.env]
    environment: [X, "A=$$x", "B=${B}"]
    volumes: ["./d:/d", data:/v, "${V:-./w}:/w"]
    ports: ["80:80"]
    depends_on: [db]
    networks: [n1]
    labels: {k: "${C+alt${D-d}}"}
  db: {image: busybox, profiles: [x, y], volumes_from: [built]}
  built: {build: {args: {Q: "${Q-zz}"}}, models: [m]}
  other: {build: ., depends_on: [web]}
networks: {n1: {}, unused: {}}
volumes: {data: {}, unused: {}}
models: {m: {model: ai/x}, unused: {model: ai/y}}
"""
LISTS = [
    "--images", "--services", "--networks", "--volumes", "--profiles", "--images web", "--services web",
    "--networks web", "--models", "--variables", "--profiles built",
]  # fmt: skip
FORMS = [
    "", "web", "other", "--no-normalize", "--no-path-resolution", "--no-consistency", "--no-env-resolution",
    "--no-normalize --no-path-resolution --no-env-resolution",
]  # fmt: skip


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("project")
    (path / "compose.yaml").write_text(FILE)
    (path / "a.env").write_text("F=1\n")
    (path / ".env").write_text("TAG=1\nIN_FILE=2\n")
    return path


def theirs(directory: Path, arguments: str, *options: str) -> str:
    command = [peers.compose(), "--profile", "x", *options, "config", *arguments.split()]
    return subprocess.run(command, cwd=directory, env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout


def ours(directory: Path, arguments: str, *options: str, code: int = 0) -> str:
    command = [sys.executable, "-m", "stackfile", "--profile", "x", *options, "config", *arguments.split()]
    done = subprocess.run(command, cwd=directory, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stdout if not code else done.stderr


@pytest.mark.parametrize("arguments", LISTS)
def test_lists(directory: Path, arguments: str) -> None:
    """The lines are the same; Compose's are in no order."""
    rows = [[line.split() for line in of(directory, arguments).splitlines()] for of in (theirs, ours)]
    assert sorted(rows[0]) == sorted(rows[1])


@pytest.mark.parametrize("arguments", FORMS)
def test_forms(directory: Path, arguments: str) -> None:
    expected, found = (json.loads(of(directory, f"{arguments} --format json")) for of in (theirs, ours))
    assert not list(differences(expected, found))


def test_yaml(directory: Path) -> None:
    """As the JSON, and with `models`: it can be loaded again."""
    (directory / "printed.yaml").write_text(ours(directory, ""))
    again = ours(directory, "", "-f", "printed.yaml")
    assert yaml.safe_load(again) == yaml.safe_load((directory / "printed.yaml").read_text())
    assert theirs(directory, "").partition("\nmodels:")[2] == "\n  m:\n    model: ai/x\n"
    assert ours(directory, "").partition("\nmodels:")[2] == "\n  m:\n    model: ai/x\n"


def test_written_paths_of_other_directories(tmp_path: Path) -> None:
    (tmp_path / "inc").mkdir()
    (tmp_path / "inc/compose.yaml").write_text(
        'services: {z: {image: "${I:-z}", volumes: ["./r:/r", "~/h:/h"], build: .}}'
    )
    (tmp_path / "compose.yaml").write_text(
        "include: [inc/compose.yaml]\n"
        "services: {a: {volumes: ['./o:/o', '/s:/s'], extends: {file: inc/compose.yaml, service: z}}}\n"
    )
    for arguments in ("--no-path-resolution --format json", "--variables --format json"):
        assert not list(differences(json.loads(theirs(tmp_path, arguments)), json.loads(ours(tmp_path, arguments))))


def test_uninterpolated(directory: Path) -> None:
    """Variables stay, what can be written out is, and a value that cannot without them is as it was written."""
    found: dict[str, Any] = json.loads(ours(directory, "--no-interpolate --format json"))
    expected: dict[str, Any] = json.loads(theirs(directory, "--no-interpolate --format json"))
    assert found["services"].keys() == expected["services"].keys()
    for name in ("image", "ports", "depends_on", "networks", "labels"):
        assert found["services"]["web"][name] == expected["services"]["web"][name], name
    assert found["services"]["built"]["build"] == expected["services"]["built"]["build"]
    assert found["services"]["web"]["environment"] == {"X": None, "A": "$$x", "B": "${B}"}


def test_uninterpolated_profiles(tmp_path: Path) -> None:
    """All services, whatever profiles are enabled or services are named, and what none of them uses."""
    (tmp_path / "compose.yaml").write_text(
        "services:\n"
        "  a: {image: x, depends_on: {b: {condition: service_started, required: false}}}\n"
        "  b: {image: '${Y:-y}', profiles: [dbg], networks: [n]}\n"
        "  c: {image: z, profiles: ['${P}'], volumes: [{type: volume, source: v, target: /v}]}\n"
        "networks: {n: , unused: }\nvolumes: {v: , w: {name: '${W}'}}\nsecrets: {s: {environment: S}}\n"
        "configs: {c: {content: '${C}'}}\n"
    )
    for arguments in ("", "--services", "--profiles", "--images", "--volumes", "--networks", "a", "b"):
        words = f"--no-interpolate {arguments}"
        form = " --format json" if arguments in ("", "a", "b") else ""
        expected, found = theirs(tmp_path, words + form), ours(tmp_path, words + form)
        if form:
            assert not list(
                differences(json.loads(expected[expected.index("{") :]), json.loads(found[found.index("{") :]))
            )
        else:
            assert sorted(expected.splitlines()) == sorted(found.splitlines()), words


def test_variables_as_json(directory: Path) -> None:
    arguments = "--variables --format json"
    assert json.loads(ours(directory, arguments)) == json.loads(theirs(directory, arguments))


def test_environment(directory: Path) -> None:
    found = set(ours(directory, "--environment").splitlines())
    assert {"TAG=1", "IN_FILE=2", "HOME=/home/tester"} <= found
    extra = {line for line in theirs(directory, "--environment").splitlines() if not line.startswith("PWD=")} - found
    assert not {line for line in extra if not line.startswith("COMPOSE_PROJECT_NAME=")}


def test_hashes(directory: Path) -> None:
    """A hash a service, which changes with the service alone; not with what is no property of its containers."""
    before = dict(line.split() for line in ours(directory, "--hash *").splitlines())
    assert before.keys() == {"web", "db", "built", "other"}
    changed = directory / "changed.yaml"
    changed.write_text("services: {web: {environment: {A: other}}, db: {scale: 2}}\n")
    files = ("-f", "compose.yaml", "-f", "changed.yaml")
    after = dict(line.split() for line in ours(directory, "--hash web,db,built", *files).splitlines())
    assert [name for name in after if after[name] != before[name]] == ["web"]
    assert "no such service: nope" in ours(directory, "--hash nope", code=2)


def test_output_and_quiet(directory: Path) -> None:
    assert ours(directory, "-q") == ""
    assert ours(directory, "-o out.yaml") == ""
    assert (directory / "out.yaml").read_text() == ours(directory, "")
    assert (directory / "out.yaml").stat().st_mode & 0o777 == 0o600
    assert "cannot write nowhere/out" in ours(directory, "-o nowhere/out", code=1)


def test_a_stack_file_has_no_uninterpolated_form(tmp_path: Path) -> None:
    (tmp_path / "stack.yaml").write_text("services: {a: {image: i}, b: {image: i}}\n")
    assert "stack.yaml:1:1" in ours(tmp_path, "--no-interpolate", code=3)
    assert json.loads(ours(tmp_path, "--format json a"))["services"].keys() == {"a"}
