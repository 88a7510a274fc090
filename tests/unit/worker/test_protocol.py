"""The first message and the command line."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import stackfile
from stackfile.worker.protocol import HANDED_ON, Hello, parse_command, parse_hello

SCRIPT = Path(stackfile.__file__).parent / "client" / "stackfile"
OURS = stackfile.__version__.encode()
WORD = st.binary(max_size=20).map(lambda word: word.replace(b"\0", b""))


@pytest.mark.parametrize(
    ("data", "hello"),
    [
        (b"stackfile\0" + OURS + b"\x000o22\0tty", Hello(0o22, True)),
        (b"stackfile\0" + OURS + b"\x000o77\0", Hello(0o77, False)),
        (b"stackfile\x000.0.9\x000o22\0", None),
        (b"stackfile\0" + OURS + b"\0x\0", None),
        (b"stackfile\0" + OURS, None),
        (b"", None),
    ],
)
def test_hello(data: bytes, hello: Hello | None) -> None:
    assert parse_hello(data) == hello


@given(st.binary(max_size=60))
def test_any_first_message_is_answered(data: bytes) -> None:
    parse_hello(data)


@given(
    WORD,
    st.lists(WORD, max_size=5),
    st.dictionaries(WORD.filter(lambda name: bool(name) and b"=" not in name), WORD, max_size=5),
)
def test_command(typed: bytes, arguments: list[bytes], environment: dict[bytes, bytes]) -> None:
    pairs = [name + b"=" + value for name, value in environment.items()]
    parsed = parse_command(b"\0".join([str(len(arguments)).encode(), typed, *arguments, *pairs]))
    assert (parsed.typed, list(parsed.arguments), parsed.environment) == (typed, arguments, environment)


@pytest.mark.parametrize("data", [b"", b"x\0a", b"3\0a\0b", b"-1\0a"])
def test_what_is_no_command(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"invalid literal|fewer"):
        parse_command(data)


def test_the_script_is_of_this_version() -> None:
    """An installed copy meets workers of its own version alone."""
    tree = ast.parse(SCRIPT.read_text())
    values = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert ast.literal_eval(values["VERSION"]) == stackfile.__version__
    handed_on = values["HANDED_ON"]
    assert isinstance(handed_on, ast.Tuple)
    names = {item.attr for item in handed_on.elts if isinstance(item, ast.Attribute)}
    assert names | {"SIGWINCH"} == {number.name for number in HANDED_ON}
