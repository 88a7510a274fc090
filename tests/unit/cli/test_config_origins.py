"""`config --origins`: where each value was written, and through what it came."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stackfile.cli import main

STACK = """\
values: {port: 80, url: "http://x:{{ values.port }}"}
environments:
  prod: {values: {port: 443}}
services:
  web: {image: "${IMG}", environment: {URL: "{{ values.url }}", PLAIN: x}, env_file: e.env, ports: [{target: 1}]}
  off: {image: y, profiles: [never]}
  hosts: {for_each: [a, b], image: "i-{{ each.key }}"}
networks: {n: {labels: {k: v}}}
"""


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "stack.yaml").write_text(STACK)
    (tmp_path / "e.env").write_text("\nFROM_FILE=1\n")
    (tmp_path / ".env").write_text("IMG=app\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def origins(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, tuple[str, list[str]]]:
    """Path → (place, steps)."""
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    return {path: (_place(item["at"]), [f"{v['name']} {_place(v['at'])}" for v in item["via"]])
            for path, item in document.items()}  # fmt: skip


def _place(at: dict[str, object]) -> str:
    return ":".join(str(part) for part in at.values() if part)


def test_files_values_variables_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    found = origins(capsys, "-E", "prod", "--set", "url=u", "config", "--origins")
    assert found["service.web/image"] == ("stack.yaml:5:16", ["env.IMG .env:1:1"])
    assert found["service.web/environment/URL"] == ("stack.yaml:5:45", ["values.url --set url=u"])
    assert found["service.web/environment/FROM_FILE"] == ("e.env:2:1", [])
    assert found["service.web/ports/0/target"][0] == "stack.yaml:5:110"
    assert found["network.n/labels/k"][0] == "stack.yaml:8:28"
    assert "service.hosts-b/image" in found
    assert not any(path.startswith("service.off") for path in found)
    steps = origins(capsys, "-E", "prod", "config", "--origins")["service.web/environment/URL"][1]
    assert steps == ["values.url stack.yaml:1:25", "values.port stack.yaml:3:25"]


def test_of_some_services(capsys: pytest.CaptureFixture[str]) -> None:
    found = origins(capsys, "config", "--origins", "hosts")
    assert {path.partition("/")[0] for path in found} == {"service.hosts-a", "service.hosts-b"}
    assert main(["config", "--origins", "web"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["VALUE", "WRITTEN", "AT", "THROUGH"]
    assert "service.web/image stack.yaml:5:16 env.IMG (.env:1:1)" in [" ".join(line.split()) for line in lines]
