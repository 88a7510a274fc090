"""Secrets that commands print."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackfile.api import commands
from stackfile.errors import ErrorList, Place, StackError
from stackfile.model.stack import Origin, SecretResource, Stack

SHELL = ("/bin/sh", "-ec")


def stack(directory: Path, **scripts: str) -> Stack:
    return Stack(
        name="s",
        directory=str(directory),
        secrets={name: SecretResource(name=name, command=(*SHELL, text)) for name, text in scripts.items()},
        origins={f"secret.{name}/command": Origin(Place("f", 3, 5)) for name in scripts},
    )


def test_the_output_is_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHO", "me")
    made = commands.resolve(stack(tmp_path, a="echo $WHO", b="pwd", c="printf 'two\\n\\n'"))
    assert {name: secret.content for name, secret in made.secrets.items()} == {
        "a": ("me",), "b": (str(tmp_path),), "c": ("two\n",),
    }  # fmt: skip
    assert not any(secret.command for secret in made.secrets.values())


def test_what_has_no_command_stays() -> None:
    plain = Stack(name="s", secrets={"a": SecretResource(name="a", content=("x",))})
    assert commands.resolve(plain) is plain


@pytest.mark.parametrize("script", ["exit 3", "printf '\\377'", "kill -9 $$"])
def test_failures(tmp_path: Path, script: str) -> None:
    with pytest.raises(StackError) as caught:
        commands.resolve(stack(tmp_path, a=script))
    assert (caught.value.reason, caught.value.at) == ("secret-command", Place("f", 3, 5))


def test_every_failure_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "SECONDS", 0.2)
    with pytest.raises(ErrorList) as caught:
        commands.resolve(stack(tmp_path, a="exit 1", b="sleep 5"))
    assert [error.cause for error in caught.value.errors] == ["exit code 1", "no end after 0.2 s"]
