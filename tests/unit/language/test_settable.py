"""What can be set, what it is, and where it comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stackfile.cli import main
from stackfile.errors import ErrorList, StackfileError
from stackfile.language import LoadOptions, settings
from stackfile.language.settable import Setting

STACK = """\
values:
  port: 80
  name: web
  url: "http://{{ values.name }}:{{ values.port }}"
  list: [1, 2]
  record: {a: 1, "b.c": x}
  empty: {}
  nothing: null
values_schema:
  properties:
    port: {type: integer, minimum: 1, description: where it listens}
    level: {enum: [debug, info]}
environments:
  base: {values: {port: 8443, name: base}}
  prod: {extends: base, values: {port: 443}}
services: {s: {image: "{{ values.name }}"}}
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "stack.yaml").write_text(STACK)
    (tmp_path / "over.yaml").write_text("name: other\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(directory: Path, **options: object) -> dict[str, Setting]:
    given = LoadOptions(directory=str(directory), **options)  # type: ignore[arg-type]
    return {item.path: item for item in settings(given)}


def test_defaults(directory: Path) -> None:
    items = found(directory)
    types = {path: item.type for path, item in items.items()}
    assert types == {
        "port": "number", "name": "text", "url": "text", "list": "list", "record.a": "number", "record.b\\.c": "text",
        "empty": "map", "nothing": "any", "level": "any",
    }  # fmt: skip
    assert {item.source for path, item in items.items() if path != "level"} == {"default"}
    assert (items["url"].value, items["url"].default) == ("http://web:80", "http://{{ values.name }}:{{ values.port }}")
    assert str(items["record.a"].default_at) == "stack.yaml:6:15"
    assert (items["port"].description, items["port"].constraints) == ("where it listens", {"minimum": 1})
    level = items["level"]
    assert (level.source, level.at, level.constraints) == ("", None, {"enum": ["debug", "info"]})


def test_where_each_comes_from(directory: Path) -> None:
    sets = (("set", "record.a=7"), ("set-string", "record.b\\.c=y"), ("set", "level=info"), ("set", "empty={k: 1}"))
    items = found(directory, environment="prod", values_files=("over.yaml",), sets=sets)
    rows = {path: (item.value, item.source, str(item.at)) for path, item in items.items()}
    assert rows["port"] == (443, "environment prod", "stack.yaml:15:40")
    assert rows["name"] == ("other", "--values", "over.yaml:1:7")
    assert rows["url"] == ("http://other:443", "default", "stack.yaml:4:8")
    assert rows["record.a"] == (7, "--set", "--set record.a=7")
    assert rows["record.b\\.c"][:2] == ("y", "--set-string")
    assert rows["level"][:2] == ("info", "--set")
    assert rows["empty.k"][:2] == (1, "--set")
    assert (items["port"].default, str(items["port"].default_at)) == (80, "stack.yaml:2:9")
    assert found(directory, environment="base")["port"].source == "environment base"


def test_mistakes_in_values_are_told_and_those_elsewhere_are_not(directory: Path) -> None:
    with pytest.raises((ErrorList, StackfileError)) as caught:
        found(directory, sets=(("set", "prot=1"),))
    assert "no value prot" in str(caught.value)
    (directory / "stack.yaml").write_text(
        STACK + "  t: {image: 1, nonsense: 2}\n".replace("  t", "volumes: {v: 1}\nx-t")
    )
    assert "port" in found(directory)


def test_the_verb(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--set", "port=81", "values"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["VALUE", "TYPE", "IS", "FROM", "DEFAULT", "ABOUT"]
    assert lines[1].split() == [
        "port",
        "number",
        "81",
        "--set",
        "80",
        "(stack.yaml:2:9)",
        "where",
        "it",
        "listens",
        "(minimum:",
        "1)",
    ]
    assert "default stack.yaml:3:9" in lines[2]
    assert main(["values", "record", "--json"]) == 0
    assert [item["path"] for item in json.loads(capsys.readouterr().out)] == ["record.a", "record.b\\.c"]
    (directory / "stack.yaml").write_text("services: {s: {image: x}}\n")
    assert main(["values"]) == 0
    assert capsys.readouterr().out == "Nothing can be set.\n"
