"""Every rule of lint: what it finds, where, and what it leaves alone."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from stackfile.cli import main
from stackfile.language import LoadOptions, lint, lint_rules

CASES = {
    "unpinned-image": ("image: x:latest", "image: x:1", (3, 12)),
    "privileged": ("privileged: true", "privileged: false", (3, 17)),
    "engine-socket": ("volumes: ['/run/docker.sock:/s']", "volumes: ['./x:/s']", (3, 15)),
    "secret-in-environment": ("environment: {DB_PASSWORD: abc}", "environment: {DB_PASSWORD: '${P:-}'}", (3, 32)),
    "published-database": ("ports: ['5432:5432']", "ports: ['127.0.0.1:5432:5432']", (3, 13)),
    "no-health-check": ("ports: ['80:80']", "{ports: ['80:80'], healthcheck: {test: [CMD, x]}}", (2, 3)),
    "host-namespace": ("network_mode: host", "network_mode: none", (3, 19)),
    "mighty-capability": ("cap_add: [CAP_SYS_ADMIN]", "cap_add: [NET_ADMIN]", (3, 15)),
    "writable-system-path": ("volumes: ['/etc:/e']", "volumes: ['/etc:/e:ro']", (3, 15)),
    "no-restart-policy": ("tty: true", "restart: always", (2, 3)),
    "no-memory-limit": ("tty: true", "mem_limit: 1g", (2, 3)),
}


def found(directory: Path, text: str, rule: str) -> list[tuple[int, int]]:
    (directory / "compose.yaml").write_text(text)
    options = LoadOptions(directory=str(directory), environ={})
    return [(each.at.line, each.at.column) for each in lint(options) if each.rule.id == rule]


def file_of(entry: str) -> str:
    if entry.startswith("{"):
        return f"services:\n  web: {{image: 'x:1', {entry[1:]}\n"
    image = "" if entry.startswith("image") else "    image: x:1\n"
    return f"services:\n  web:\n    {entry}\n{image}"


@pytest.mark.parametrize("rule", CASES)
def test_rules(rule: str, tmp_path: Path) -> None:
    bad, good, place = CASES[rule]
    assert found(tmp_path, file_of(bad), rule) == [place]
    assert found(tmp_path, file_of(good), rule) == []
    ignored = file_of(bad).split("\n")
    ignored[place[0] - 1] += f"  # stackfile: ignore {rule}"
    assert found(tmp_path, "\n".join(ignored), rule) == []


def test_rules_of_several_resources(tmp_path: Path) -> None:
    base = "services:\n  a: {image: 'x:1', healthcheck: {test: [CMD, x]}}\n  b:\n    image: x:1\n"
    assert found(tmp_path, base + "    depends_on: [a]\n", "unhealthy-dependency") == [(5, 18)]
    waits = base + "    depends_on: {a: {condition: service_healthy}}\n"
    assert found(tmp_path, waits, "unhealthy-dependency") == []
    assert found(tmp_path, base + "    volumes: ['v:/v']\nvolumes: {v: {}, w: {}}\n", "unused") == [(6, 18)]


def test_secrets_of_variables_are_not_in_the_file(tmp_path: Path) -> None:
    text = file_of("environment: {DB_PASSWORD: '${P:-set}'}")
    assert found(tmp_path, text, "secret-in-environment") == []


@pytest.mark.parametrize(
    ("environment", "columns"),
    [
        ("{A_TOKEN: '${P:-set}', B_TOKEN: x}", [50]),
        ("['A_TOKEN=${P:-set}', B_TOKEN=x]", [40]),
        ("{A_TOKEN: 'a$$b'}", [28]),
        ("{A_TOKEN: x} # ${P}", [28]),
    ],
)
def test_a_secret_beside_a_variable(environment: str, columns: list[int], tmp_path: Path) -> None:
    text = f"services:\n  web:\n    image: x:1\n    environment: {environment}\n"
    assert found(tmp_path, text, "secret-in-environment") == [(4, column) for column in columns]


def test_a_secret_of_a_variable_merged_from_two_files(tmp_path: Path) -> None:
    (tmp_path / "compose.override.yaml").write_text("services: {web: {environment: {C: d}}}\n")
    text = file_of("environment: ['DB_PASSWORD=${P:-set}', 'A_TOKEN=x']")
    assert found(tmp_path, text, "secret-in-environment") == [(3, 44)]


def test_version(tmp_path: Path) -> None:
    text = "services: {web: {image: 'x:1'}}\n"
    assert found(tmp_path, "version: '3'\n" + text, "obsolete-version") == [(1, 1)]
    assert found(tmp_path, text, "obsolete-version") == []
    assert {rule.id for rule in lint_rules()} == {
        *CASES, "obsolete-version", "unhealthy-dependency", "unused", "unused-value",
    }  # fmt: skip


def test_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("compose.yaml").write_text("services:\n  web: {image: x, restart: always, mem_limit: 1g}\n")
    assert main(["lint"]) == 6
    assert capfd.readouterr().out == "compose.yaml:2:16: warning: web: image x names no version [unpinned-image]\n"
    assert main(["lint", "--format", "sarif"]) == 6
    assert '"ruleId": "unpinned-image"' in capfd.readouterr().out
    assert main(["lint", "--ignore", "unpinned-image"]) == 0
    assert main(["lint", "--ignore", "nonsense"]) == 2
    Path("compose.yaml").write_text("services: [\n")
    assert main(["lint"]) == 3


@pytest.mark.parametrize(
    ("use", "lines"),
    [
        ("{{ values.used }}", [1]),
        ("{{ values['used'] ~ values.left }}", []),
        ("{{ values[env.NAME] }}", []),
        ("{{ values | length }}", []),
        ("{% for each in values.used %}{{ each }}{% endfor %}", [1]),
        ("{% include 'other.j2' %}", []),
    ],
)
def test_values_that_nobody_uses(use: str, lines: list[int], tmp_path: Path) -> None:
    text = f'values: {{left: 1, used: "a"}}\nservices:\n  web:\n    image: x:1\n    labels: {{a: "{use}"}}\n'
    (tmp_path / "other.j2").write_text("x")
    (tmp_path / "stack.yaml").write_text(text)
    options = LoadOptions(directory=str(tmp_path), environ={"NAME": "left"})
    assert [each.at.line for each in lint(options) if each.rule.id == "unused-value"] == lines


def test_values_of_templates_in_files(tmp_path: Path) -> None:
    (tmp_path / "c.j2").write_text("{{ values.left }}")
    text = "values: {left: 1}\nservices: {web: {image: 'x:1', configs: [c]}}\n"
    (tmp_path / "stack.yaml").write_text(text + "configs: {c: {file: c.j2, template_driver: jinja}}\n")
    assert not [
        each for each in lint(LoadOptions(directory=str(tmp_path), environ={})) if each.rule.id == "unused-value"
    ]


def test_a_file_on_stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"services:\n  a: {image: 'x:latest'}\n  b: {image: 'x:latest'}  # stackfile: ignore unpinned-image\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    options = LoadOptions(directory=str(tmp_path), files=("-",), environ={})
    assert [each.at.line for each in lint(options) if each.rule.id == "unpinned-image"] == [2]
