from __future__ import annotations

import pytest

from stackfile.errors import StackError
from stackfile.language.variables import parse_env_file
from tests.unit.language.memory import load_files, service

FILE = """\
# a comment
X=1
Y="a b\\n$X"   # behind
export Z='q$X'
W=a # behind
V=a#b
U=${NOPE:-d}
T
S = s
EMPTY=
MULTI="one
two"
ESCAPED="a\\$X \\"q\\""
LAST=end"""


def test_the_format_of_env_files() -> None:
    parsed = parse_env_file(FILE, "f", {})
    assert {key: entry.value if entry else None for key, entry in parsed.items()} == {
        "X": "1",
        "Y": "a b\n1",
        "Z": "q$X",
        "W": "a",
        "V": "a#b",
        "U": "d",
        "T": None,
        "S": "s",
        "EMPTY": "",
        "MULTI": "one\ntwo",
        "ESCAPED": 'a$X "q"',
        "LAST": "end",
    }
    last = parsed["LAST"]
    assert last is not None
    assert (last.at.line, last.at.column) == (14, 1)


def test_the_environment_wins_inside_an_env_file() -> None:
    parsed = parse_env_file("X=1\nY=$X\n", "f", {"X": "outer"})
    assert parsed["Y"] is not None
    assert parsed["Y"].value == "outer"


@pytest.mark.parametrize(("text", "line"), [("A=1\n=x\n", 2), ('A="open\n', 1), ("A=1\nB=${\n", 2)])
def test_mistakes(text: str, line: int) -> None:
    with pytest.raises(StackError) as caught:
        parse_env_file(text, "f", {})
    assert caught.value.at is not None
    assert caught.value.at.line == line


def test_dot_env_lies_below_the_environment() -> None:
    files = {"stack.yaml": "services: {a: {image: x, user: $A, hostname: $B}}", ".env": "A=file\nB=file\n"}
    stack = load_files(files, environ={"A": "environment"})
    assert (stack.services["a"].user, stack.services["a"].hostname) == ("environment", "file")


def test_named_env_files_replace_dot_env() -> None:
    files = {"stack.yaml": "services: {a: {image: x, user: '${A-none}'}}", ".env": "A=1\n", "b.env": "B=2\n"}
    assert load_files(files, env_files=("b.env",)).services["a"].user == "none"


def test_environment_of_a_service() -> None:
    parsed = service("environment: {A: 1, B: true, C: 1.10, D: '', E: , F: }", environ={"E": "outer"})
    assert parsed.environment == {"A": "1", "B": "true", "C": "1.1", "D": "", "E": "outer", "F": None}
    assert service("environment: ['A=1=2', B, 'C=']", environ={"B": "outer"}).environment == {
        "A": "1=2",
        "B": "outer",
        "C": "",
    }


def test_env_files_of_a_service() -> None:
    files = {
        "stack.yaml": """\
            services:
              a:
                image: x
                env_file: [one.env, {path: two.env}, {path: no.env, required: false}, {path: raw.env, format: raw}]
                environment: {B: own}
            """,
        "one.env": "A=1\nB=1\nUNSET\n",
        "two.env": "A=2\n",
        "raw.env": "R='q' # c\n",
    }
    stack = load_files(files)
    assert stack.services["a"].environment == {"A": "2", "B": "own", "R": "'q' # c"}
    assert stack.origins["service.a/environment/A"].at.file == "two.env"
    assert stack.origins["service.a/environment/B"].at.file == "stack.yaml"
