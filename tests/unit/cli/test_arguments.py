"""The parser: getopt_long's conventions, tables that give way to each other, errors by reason."""

from __future__ import annotations

import pytest

from stackfile.cli.arguments import Parser, Verb, check_operands, option
from stackfile.errors import UsageError

TABLE = (
    option("-i --interactive", "keep stdin open"),
    option("-t --tty", "a TTY"),
    option("-p --publish", "port", "PORT", repeat=True),
    option("--name", "name", "NAME"),
    option("--format", "format", "FORMAT", choices=("yaml", "json")),
    option("--no-build", "not", negates="build"),
    option("-n --number", "number", "N"),
)


def parse(*argv: str, trailing: bool = False) -> tuple[Parser, list[str]]:
    parser = Parser(TABLE)
    return parser, parser.parse(argv, trailing=trailing)


@pytest.mark.parametrize(
    ("argv", "flags", "values", "operands"),
    [
        (["-it", "x"], {"interactive": True, "tty": True}, {}, ["x"]),
        (["-itp80:80"], {"interactive": True, "tty": True}, {"publish": ["80:80"]}, []),
        (["-p", "1", "-p=2", "--publish", "3", "--publish=4"], {}, {"publish": ["1", "2", "3", "4"]}, []),
        (["--name", "a", "--name=b"], {}, {"name": ["b"]}, []),
        (["--tty=false"], {"tty": False}, {}, []),
        (["--no-build"], {"build": False}, {}, []),
        (["a", "--", "-i"], {}, {}, ["a", "-i"]),
        (["-"], {}, {}, ["-"]),
        (["--name", "-x"], {}, {"name": ["-x"]}, []),
    ],
)
def test_conventions(
    argv: list[str], flags: dict[str, bool], values: dict[str, list[str]], operands: list[str]
) -> None:
    parser, rest = parse(*argv)
    (result,) = parser.results
    assert (result.flags, result.values, rest) == (flags, values, operands)


def test_trailing_leaves_the_command_alone() -> None:
    parser, rest = parse("-i", "web", "ls", "-t", "--name", trailing=True)
    assert rest == ["web", "ls", "-t", "--name"]
    assert parser.results[0].flags == {"interactive": True}


def test_the_first_table_owns_a_spelling() -> None:
    parser = Parser((option("-f --follow", "follow"),), (option("-f --file", "file", "FILE", repeat=True),))
    assert parser.parse(["-f", "--file", "x"], trailing=False) == []
    own, outer = parser.results
    assert own.flag("follow")
    assert outer.texts("file") == ("x",)


@pytest.mark.parametrize(
    "argv", [["--nope"], ["-x"], ["--name"], ["-p"], ["--format", "xml"], ["--tty=perhaps"], ["-ix"]]
)
def test_wrong_lines(argv: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse(*argv)
    assert caught.value.reason == "usage"


def test_unknown_option_names_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        parse("--publsh", "1")
    assert "--publish" in caught.value.hint


def test_getters() -> None:
    parser, _ = parse("-n", "5", "-p", "a=1", "-p", "b")
    (result,) = parser.results
    assert result.integer("number") == 5
    assert result.integer("name") is None
    assert result.pairs("publish") == {"a": "1", "b": ""}
    assert result.order == [("number", "5"), ("publish", "a=1"), ("publish", "b")]


def test_not_a_number() -> None:
    parser, _ = parse("-n", "five")
    with pytest.raises(UsageError):
        parser.results[0].integer("number")


@pytest.mark.parametrize(
    ("operands", "fits"), [([], False), (["a"], True), (["a", "b"], True), (["a", "b", "c"], False)]
)
def test_operands(operands: list[str], fits: bool) -> None:
    verb = Verb(name="v", summary="", run=lambda context, arguments: 0, operands="A [B]", minimum=1, maximum=2)
    if fits:
        check_operands(verb, operands)
    else:
        with pytest.raises(UsageError):
            check_operands(verb, operands)
