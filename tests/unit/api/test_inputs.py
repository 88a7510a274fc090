"""Digests of what a plan was made from, and what has changed since."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from stackfile.api import LoadOptions, RecordingReader, inputs, load
from stackfile.api.stacks import contexts_of
from stackfile.errors import RefusedError
from stackfile.model.stack import Stack

STACK = """
name: p
images:
  app: {from: scratch, steps: [{copy: {source: site, target: /}}]}
services:
  web: {image: app, env_file: [web.env], secrets: [s]}
secrets: {s: {file: s.txt}}
"""


def keys(contents: Sequence[bytes]) -> list[str]:
    return [f"hmac:{len(data)}:{data.decode()[::-1].strip()}" for data in contents]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = tmp_path / "stack"
    (made / "site").mkdir(parents=True)
    for name, text in {"stack.yaml": STACK, "web.env": "A=1\n", "s.txt": "token\n", "site/index": "x"}.items():
        (made / name).write_text(text)
    return made


def saved(directory: Path) -> tuple[Stack, list[dict[str, str]]]:
    reader = RecordingReader()
    stack, _ = contexts_of(load(LoadOptions(directory=str(directory), environ={}), read=reader))
    return stack, inputs.digests(stack, reader.contents, keys)


def changed(stack: Stack, known: list[dict[str, str]]) -> list[str]:
    try:
        inputs.check(stack, known, keys)
    except RefusedError as error:
        return list(error.details["differences"]) if error.reason == "stale-plan" else [error.reason]
    return []


def test_what_they_are(directory: Path) -> None:
    _, known = saved(directory)
    assert [item.get("path") or f"context {item['context']}" for item in known] == [
        "s.txt", "stack.yaml", "web.env", "context app",
    ]  # fmt: skip
    kinds = {item.get("path", ""): item["digest"].partition(":")[0] for item in known}
    assert kinds == {"s.txt": "hmac", "stack.yaml": "sha256", "web.env": "hmac", "": "sha256"}


def test_nothing_changed(directory: Path) -> None:
    assert changed(*saved(directory)) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("stack.yaml", "stack.yaml changed"),
        ("web.env", "web.env changed"),
        ("s.txt", "s.txt changed"),
        ("site/index", "the build context of image app changed"),
    ],
)
def test_a_file_changed(directory: Path, name: str, text: str) -> None:
    stack, known = saved(directory)
    (directory / name).write_text("other, and longer")
    assert changed(stack, known) == [text]


def test_a_file_is_gone(directory: Path) -> None:
    stack, known = saved(directory)
    (directory / "web.env").unlink()
    (directory / "site" / "index").unlink()
    (directory / "site").rmdir()
    first, second = changed(stack, known)
    assert first == "web.env is gone"
    assert second.startswith("a build context cannot be read")


def test_on_another_machine_there_is_nothing_to_compare(directory: Path) -> None:
    stack, known = saved(directory)
    directory.rename(directory.parent / "elsewhere")
    assert inputs.check(stack, known, keys) == (stack, [])
