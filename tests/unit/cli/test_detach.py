"""The keys that detach: how they are said, where, and how they are found in what is typed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from stackfile.cli.arguments import Arguments
from stackfile.cli.context import Context
from stackfile.cli.detach import KeyMatcher, keys_of, parse_keys
from stackfile.cli.output.console import Console
from stackfile.errors import UsageError


@pytest.mark.parametrize(("text", "keys"), [("ctrl-p,ctrl-q", b"\x10\x11"), ("a,ctrl-[", b"a\x1b"), ("", b"")])
def test_keys(text: str, keys: bytes) -> None:
    assert parse_keys("--detach-keys", text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ab", "ctrl-pp", "ü", "a,,b"])
def test_wrong_keys(text: str) -> None:
    with pytest.raises(UsageError):
        parse_keys("--detach-keys", text)


def test_the_nearest_word_counts(tmp_path: Path) -> None:
    """The option, then our variable, then docker's configuration, then the default."""

    def found(option: str = "", **environ: str) -> bytes:
        arguments = Arguments()
        if option:
            arguments.values["detach-keys"] = [option]
        given = {"HOME": str(tmp_path), **environ}
        console = Console(io.StringIO(), io.StringIO(), given)
        return keys_of(Context(console, Arguments(), given, "/", ()), arguments)

    assert found() == b"\x10\x11"
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text('{"detachKeys": "ctrl-e,e"}')
    assert found() == b"\x05e"
    assert found(STACKFILE_DETACH_KEYS="ctrl-a,x") == b"\x01x"
    assert found("ctrl-b", STACKFILE_DETACH_KEYS="ctrl-a,x") == b"\x02"
    for text in ('{"detachKeys": "nonsense"}', "{", "[]", '{"detachKeys": 3}'):
        (tmp_path / ".docker/config.json").write_text(text)
        assert found() == b"\x10\x11"
    with pytest.raises(UsageError):
        found(STACKFILE_DETACH_KEYS="nonsense")


def test_a_sequence_is_found_over_reads() -> None:
    matcher = KeyMatcher(b"\x10\x11")
    assert matcher.feed(b"ls\x10") == (b"ls", False)
    assert matcher.feed(b"\x11") == (b"", True)


def test_what_only_begins_a_sequence_is_sent_later() -> None:
    matcher = KeyMatcher(b"\x10\x11")
    assert matcher.feed(b"\x10") == (b"", False)
    assert matcher.feed(b"x") == (b"\x10x", False)
    assert matcher.feed(b"\x10") == (b"", False)
    assert matcher.rest() == b"\x10"
