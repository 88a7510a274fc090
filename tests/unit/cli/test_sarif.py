"""SARIF 2.1.0: what the verbs print has the structure that the specification demands."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from jsonschema import Draft202012Validator

from stackfile.cli import main


def mapping(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    """An object of the specification: these properties and no others."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


TEXT = {"type": "string", "minLength": 1}
MESSAGE = mapping(("text",), text=TEXT)
LEVEL = {"enum": ["none", "note", "warning", "error"]}
ARTIFACT = mapping(("uri",), uri={"type": "string", "pattern": r"^[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]+$"}, uriBaseId=TEXT)
POSITION = {"type": "integer", "minimum": 1}
REGION = mapping(("startLine",), startLine=POSITION, startColumn=POSITION)
LOCATION = mapping(
    (),
    physicalLocation=mapping(("artifactLocation",), artifactLocation=ARTIFACT, region=REGION),
    logicalLocations={"type": "array", "items": mapping(("name",), name=TEXT, kind=TEXT)},
) | {"minProperties": 1}
LOCATIONS = {"type": "array", "items": LOCATION, "uniqueItems": True}
RULE = mapping(
    ("id", "shortDescription", "help"),
    id=TEXT, name=TEXT, shortDescription=MESSAGE, help=MESSAGE, defaultConfiguration=mapping((), level=LEVEL),
)  # fmt: skip
RESULT = mapping(
    ("message", "ruleId", "ruleIndex", "level"),
    ruleId=TEXT, ruleIndex={"type": "integer", "minimum": 0}, level=LEVEL, message=MESSAGE, locations=LOCATIONS,
    relatedLocations=LOCATIONS,
)  # fmt: skip
DRIVER = mapping(
    ("name", "rules"), name=TEXT, version=TEXT, rules={"type": "array", "items": RULE, "uniqueItems": True}
)
RUN = mapping(
    ("tool", "results", "columnKind", "originalUriBaseIds"),
    tool=mapping(("driver",), driver=DRIVER),
    results={"type": "array", "items": RESULT},
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    originalUriBaseIds={"type": "object", "additionalProperties": ARTIFACT},
)
LOG = mapping(
    ("$schema", "version", "runs"),
    **{"$schema": {"type": "string", "pattern": "^https://.*sarif.*2[.]1[.]0"}, "version": {"const": "2.1.0"}},
    runs={"type": "array", "items": RUN},
)
"""The parts of the specification (sections 3.13 to 3.30, 3.49) that we use, with all that they demand."""


def printed(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    """(exit code, the run) of a verb that prints SARIF."""
    code = main([*words, "--format", "sarif"])
    log = json.loads(capfd.readouterr().out)
    assert list(Draft202012Validator(LOG).iter_errors(log)) == []
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    ids = [rule["id"] for rule in rules]
    assert len(ids) == len(set(ids))
    for result in run["results"]:
        rule = rules[result["ruleIndex"]]
        assert rule["id"] == result["ruleId"]
        assert rule["defaultConfiguration"]["level"] == result["level"]
        for place in [*result.get("locations", ()), *result.get("relatedLocations", ())]:
            assert "physicalLocation" not in place or file_of(run, place).exists()
    return code, run


def file_of(run: dict[str, Any], place: dict[str, Any]) -> Path:
    """The file that a location leads to."""
    artifact = place["physicalLocation"]["artifactLocation"]
    base = run["originalUriBaseIds"][artifact["uriBaseId"]]["uri"] if "uriBaseId" in artifact else ""
    assert base.endswith("/") or not base
    parts = urlsplit(base + artifact["uri"])
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("file", "", "", "")
    return Path(unquote(parts.path))


def marked(run: dict[str, Any], place: dict[str, Any]) -> str:
    """The rest of the line that a region begins, columns counted as `columnKind` says."""
    region = place["physicalLocation"]["region"]
    assert run["columnKind"] == "unicodeCodePoints"
    line: str = file_of(run, place).read_text().splitlines()[region["startLine"] - 1][region["startColumn"] - 1 :]
    return line


def test_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Files whose names need encoding, signs beyond 16 bits, a file outside of the directory."""
    inside = tmp_path / "a ü"
    inside.mkdir()
    monkeypatch.chdir(inside)
    Path("100% a:b#c?.yaml").write_text("services:\n  a: {image: x, labels: {k: '🐘 é'}, bogus: 1}\n")
    (tmp_path / "d.yaml").write_text("services: {a: {hostname: a b}}\n")
    code, run = printed(capfd, "-f", "100% a:b#c?.yaml", "-f", "../d.yaml", "validate")
    assert code == 3
    places = {marked(run, result["locations"][0]): result["locations"][0] for result in run["results"]}
    assert {text: place["physicalLocation"]["artifactLocation"] for text, place in places.items()} == {
        "bogus: 1}": {"uri": "100%25%20a%3Ab%23c%3F.yaml", "uriBaseId": "%SRCROOT%"},
        "a b}}": {"uri": (tmp_path / "d.yaml").as_uri()},
    }
    assert run["originalUriBaseIds"]["%SRCROOT%"]["uri"] == f"{inside.as_uri()}/"


def test_the_places_that_led_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("stack.yaml").write_text("services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [a]}\n")
    _, run = printed(capfd, "validate")
    (result,) = run["results"]
    assert [marked(run, place) for place in (*result["locations"], *result["relatedLocations"])] == ["b]}", "a]}"]


def test_what_is_not_in_a_file_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("stack.yaml").write_text("services: {a: {image: x}}\n")
    code, run = printed(capfd, "-E", "prod", "validate")
    assert code == 3
    assert run["results"][0]["locations"] == [{"logicalLocations": [{"name": "-E", "kind": "parameter"}]}]


def test_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    os.makedirs("sub")
    Path("sub/stack.yaml").write_text("services:\n  web: {labels: {a: '🐘'}, image: x, privileged: true}\n")
    code, run = printed(capfd, "-f", "sub/stack.yaml", "lint")
    assert code == 6
    places = {result["ruleId"]: marked(run, result["locations"][0]) for result in run["results"]}
    assert places["unpinned-image"] == "x, privileged: true}"
    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "sub/stack.yaml"
    assert len(run["tool"]["driver"]["rules"]) > len(run["results"])


def test_nothing_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("compose.yaml").write_text("services: {a: {image: 'x:1', restart: always, mem_limit: 1g}}\n")
    assert printed(capfd, "validate")[1]["results"] == []
    code, run = printed(capfd, "lint", "--rules")
    assert (code, run["results"]) == (0, [])
    assert len(run["tool"]["driver"]["rules"]) > 10
