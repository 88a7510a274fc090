"""What README and examples show is real: verbs and options exist, stack files load in every environment."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from stackfile import api
from stackfile.cli import registry
from stackfile.cli.arguments import Parser
from stackfile.cli.options import GLOBAL
from tests.unit.language.memory import load_files

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("examples/*/README.md")])
STACKS = sorted(
    path
    for pattern in ("*stack.yaml", "compose.yaml")
    for path in (ROOT / "examples").glob(f"*/{pattern}")
    if path.name != "base.stack.yaml"
)
_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`((?:sudo )?stackfile [^`]+)`")
_COMMENT = re.compile(r"(?:^|: |# {2,})((?:sudo )?stackfile [^#`]+?)(?: {2,}|$)", re.MULTILINE)


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, text) of the fenced and of the indented blocks of a page; console where it begins with `$`."""
    text = page.read_text()
    found = [(match[2], match[3]) for match in _FENCE.finditer(text)]
    indented = re.findall(r"(?:^(?: {4}[^\n]*)?\n)+", _FENCE.sub("", text), re.MULTILINE)
    return found + [("console", re.sub(r"^ {4}", "", block, flags=re.MULTILINE)) for block in indented]


def commands(text: str) -> list[str]:
    """The command lines of ours in a console block."""
    found = []
    for line in text.splitlines():
        line = line.removeprefix("$ ").partition(" #")[0]
        for part in re.split(r"&&|\||;(?! s/)", line):
            part = re.sub(r"^(sudo )?", "", part.strip())
            if re.match(r"(\.venv/bin/)?stackfile [\w-]", part) and "…" not in part:
                found.append(part)
    return found


def check(command: str) -> None:
    """Its verb and options exist. Raises UsageError."""
    words = [word for word in shlex.split(command)[1:] if word != "…"]
    before = Parser(GLOBAL)
    rest = before.parse(words, trailing=True)
    if not rest or rest[0] == "VERB":
        return
    name, rest = registry.find(rest)
    verb = registry.load(name)
    Parser(verb.options, GLOBAL).parse(rest, trailing=verb.trailing)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_a_page_exist(page: Path) -> None:
    found = [command for language, text in blocks(page) if language != "yaml" for command in commands(text)]
    found += [match.removeprefix("sudo ") for match in _INLINE.findall(page.read_text())]
    for command in found:
        check(command)
    if page.name == "README.md" and page.parent == ROOT:
        assert len(found) > 12


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_stack_files_of_a_page_load(page: Path) -> None:
    for number, (language, text) in enumerate(blocks(page)):
        if language in ("yaml", "yml"):
            name = "compose.yaml" if "compose" in text.partition("\n")[0] else "stack.yaml"
            assert load_files({name: text}), f"block {number}"


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("path", STACKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_example_loads_in_every_environment(path: Path) -> None:
    options = api.LoadOptions(directory=str(path.parent), files=(path.name,), profiles=("*",), environ={})
    for environment in api.environment_names(options):
        stack = api.load(replace(options, environment=environment))
        assert stack.services
        assert stack.environment == environment
    assert path.read_text().startswith("#"), "it says first what it is"
    for command in _COMMENT.findall("\n".join(line for line in path.read_text().splitlines() if line[:1] == "#")):
        check(command.removeprefix("sudo "))


@pytest.mark.parametrize("path", STACKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_example_shows_what_is_good(path: Path) -> None:
    options = api.LoadOptions(directory=str(path.parent), files=(path.name,), environ={})
    ignored = {rule.id for rule in api.lint_rules() if rule.severity == "note"} - {"unused", "unhealthy-dependency"}
    assert [f"{item.at}: {item.message}" for item in api.lint(options, ignored=frozenset(ignored))] == []


def test_every_example_is_looked_at() -> None:
    assert {path.parent.name for path in STACKS} == {path.name for path in (ROOT / "examples").iterdir()}
    readme = (ROOT / "README.md").read_text()
    assert all(f"examples/{path.parent.name}" in readme for path in STACKS)
