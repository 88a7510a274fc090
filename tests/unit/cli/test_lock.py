"""`lock` as far as it needs no engine: what is missing is known without asking anybody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stackfile.cli import main

DIGEST = "sha256:" + "d" * 64
FILE = """
values: {tag: "1"}
environments: {dev: {default: true}, prod: {values: {tag: "2"}}}
services:
  a: {image: "app:{{ values.tag }}"}
  b: {image: other, profiles: [p]}
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    # No engine answers there, and none may be started.
    monkeypatch.setenv("STACKFILE_HOST", f"unix://{tmp_path}/none")
    (tmp_path / "stack.yaml").write_text(FILE)
    return tmp_path


def lock(*tags: str) -> str:
    return "version: 1\nimages:\n" + "".join(f"  docker.io/library/{tag}: {{digest: {DIGEST}}}\n" for tag in tags)


def test_check_compares_every_environment_and_profile(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lock", "--check"]) == 6
    assert capsys.readouterr().out.count("not locked") == 3
    (directory / "stack.lock").write_text(lock("app:1", "app:2", "other:latest"))
    assert main(["lock", "--check"]) == 0
    assert main(["lock"]) == 0, "nothing to ask for"
    (directory / "stack.lock").write_text(lock("app:1", "app:2", "other:latest", "gone:1"))
    assert main(["-E", "dev", "lock", "--check"]) == 0, "one environment forgets nothing"
    capsys.readouterr()
    assert main(["--json", "lock", "--check"]) == 6
    (change,) = json.loads(capsys.readouterr().out)["changes"]
    assert change == {"reference": "docker.io/library/gone:1", "change": "remove", "before": DIGEST, "after": ""}
    assert "gone:1" in (directory / "stack.lock").read_text()
    assert main(["lock"]) == 0
    assert "gone:1" not in (directory / "stack.lock").read_text()


@pytest.mark.parametrize(
    ("command", "text", "code", "said"),
    [
        (["lock", "app:1"], "", 2, "--update"),
        (["lock", "--update", "app:3"], "", 2, "did you mean docker.io/library/app:"),
        (["lock", "--update", "app:1"], "", 4, "none"),
        (["lock", "--check"], "version: 2", 3, "stack.lock:1:10"),
        (["lock", "--check"], "version: 1\nimages: {a: {digest: x}}", 3, "stack.lock:2:22"),
        (["up", "--locked"], "", 5, "there is no stack.lock"),
        (["plan", "--locked"], lock("app:2"), 5, "docker.io/library/app:1 is not in stack.lock"),
        (["build", "--locked"], lock("app:2"), 5, "stack.yaml:5:14"),
        (["-E", "prod", "pull", "--locked"], lock("app:2", "other:latest"), 4, "none"),
    ],
)
def test_refusals(
    directory: Path, capsys: pytest.CaptureFixture[str], command: list[str], text: str, code: int, said: str
) -> None:
    if text:
        (directory / "stack.lock").write_text(text)
    assert main(command) == code
    assert said in capsys.readouterr().err
