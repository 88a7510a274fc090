"""`validate --format`: what is wrong as a document, all files at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stackfile.cli import main

BAD = "services:\n  web:\n    image: x\n    nonsense: 1\n    restart: [1]\n"


def test_sarif(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("compose.yaml").write_text(BAD)
    assert main(["validate", "--format", "sarif"]) == 3
    log = json.loads(capfd.readouterr().out)
    assert log["version"] == "2.1.0"
    run = log["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    found = set()
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "compose.yaml"
        found.add((rules[result["ruleIndex"]]["name"], place["region"]["startLine"], place["region"]["startColumn"]))
    assert ("unknown-key", 4, 5) in found
    assert len(found) == 2


def test_errors_of_all_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a b.yaml").write_text("services: [\n")
    Path("c.yaml").write_text("services:\n  x: {image: y\n")
    files = ["-f", "a b.yaml", "-f", "c.yaml"]
    assert main([*files, "validate", "--format", "json"]) == 3
    answer = json.loads(capfd.readouterr().out)
    assert answer["valid"] is False
    assert {error["at"]["file"] for error in answer["errors"]} == {"a b.yaml", "c.yaml"}
    assert main([*files, "validate", "--format", "sarif"]) == 3
    assert '"a%20b.yaml"' in capfd.readouterr().out
    assert main([*files, "validate"]) == 3
    assert capfd.readouterr().out == ""


def test_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("compose.yaml").write_text("services: {web: {image: x}}\n")
    assert main(["validate", "--format", "sarif"]) == 0
    assert json.loads(capfd.readouterr().out)["runs"][0]["results"] == []
    assert main(["validate", "--format", "json"]) == 0
    assert json.loads(capfd.readouterr().out)["valid"] is True
