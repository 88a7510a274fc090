"""The text of Dockerfiles: instructions, places, stages."""

from __future__ import annotations

import pytest

from stackfile.errors import ErrorList, StackError, StackfileError
from stackfile.language import dockerfile
from stackfile.language.dockerfile import Instruction, Plan

PLATFORM = "linux/amd64"


def instructions(text: str) -> list[Instruction]:
    parsed = dockerfile.parse(text)
    return [instruction for stage in parsed.stages for instruction in stage.instructions]


def plan(text: str, target: str = "", **args: str) -> Plan:
    return dockerfile.plan(dockerfile.parse(text), target, args, PLATFORM)


def failure(text: str, target: str = "", **args: str) -> StackfileError:
    with pytest.raises(StackError) as caught:
        plan(text, target, **args)
    return caught.value


def test_continued_lines_comments_and_places() -> None:
    found = instructions("# hello\nFROM a\n\nrun one \\\n  # not this\n\n  two \\\n three\n  COPY a b # c\n")
    assert [(item.keyword, item.text, item.at.line, item.at.column) for item in found] == [
        ("RUN", "one   two  three", 4, 1),
        ("COPY", "a b # c", 9, 3),
    ]


def test_windows_lines_and_byte_order_mark() -> None:
    assert instructions("\ufeffFROM a\r\nRUN x \\\r\n y\r\n")[0].text == "x  y"


def test_escape_directive() -> None:
    parsed = dockerfile.parse("# syntax=docker/dockerfile:1\n# escape=`\nFROM a\nRUN dir C:\\ `\n more\n")
    assert (parsed.escape, parsed.stages[0].instructions[0].text) == ("`", "dir C:\\  more")
    assert instructions("FROM a\n# escape=`\nRUN a \\\nb\n")[0].text == "a b"
    assert failure("# escape=x\nFROM a\n").at.column == 10  # type: ignore[union-attr]


def test_forms_and_flags() -> None:
    run, broken, copy = instructions(
        'FROM a\nRUN --mount=type=cache,target=/x --network=none ["a", "b c"]\n'
        "RUN [ -e /x ]\nCOPY --link --from=b c d\n"
    )
    assert run.array == ("a", "b c")
    assert run.flags == (("mount", "type=cache,target=/x"), ("network", "none"))
    assert (broken.array, broken.text) == (None, "[ -e /x ]")
    assert copy.flags == (("link", "true"), ("from", "b"))
    assert copy.original == "COPY --link --from=b c d"


def test_heredocs() -> None:
    run, copy, after = instructions(
        "FROM a\nRUN <<EOF\n  one # kept\n\nEOF\n"
        "COPY <<-'A' <<B /t/\n\tno $X\n\tA\nof B\nB\nRUN cat <<<x && echo $((1<<2))\n"
    )
    assert [(item.name, item.text, item.literal) for item in run.heredocs] == [("EOF", "  one # kept\n\n", False)]
    assert [(item.name, item.text, item.literal) for item in copy.heredocs] == [
        ("A", "no $X\n", True),
        ("B", "of B\n", False),
    ]
    assert after.heredocs == ()
    assert failure("FROM a\nRUN <<EOF\nx\n").at.line == 2  # type: ignore[union-attr]


STAGES = """\
ARG VERSION=1
FROM one:${VERSION} AS Build
FROM two AS other
COPY --from=build /a /b
FROM scratch AS bad
RUN exit 1
FROM other
COPY --from=0 /a /b
RUN --mount=type=bind,from=three,target=/x true
"""


def test_only_what_the_target_needs() -> None:
    whole = plan(STAGES)
    assert [item.stage.key for item in whole.stages] == ["build", "other", "3"]
    assert sorted(whole.images) == ["one:1", "three", "two"]
    assert [item.base for item in plan(STAGES, "BUILD", VERSION="9").stages] == ["one:9"]
    assert [item.stage.key for item in plan(STAGES, "0").stages] == ["build"]
    assert whole.stages[-1].needs == ("other", "build")


@pytest.mark.parametrize(
    ("text", "reason", "line", "column"),
    [
        ("RUN x\n", "dockerfile-syntax", 1, 1),
        ("", "dockerfile-syntax", 1, 1),
        ("FROM a\nRUNN x\n", "unknown-instruction", 2, 1),
        ("FROM a\nCOPY --chwon=1 a b\n", "dockerfile-syntax", 2, 6),
        ("FROM a\nUSER\n", "dockerfile-syntax", 2, 1),
        ("FROM a b\n", "dockerfile-syntax", 1, 1),
        ("FROM a AS 1x\n", "dockerfile-syntax", 1, 11),
        ("FROM a AS x\nFROM b AS x\n", "name-collision", 2, 11),
        ("FROM $NONE\n", "dockerfile-syntax", 1, 6),
        ("FROM ${X\n", "dockerfile-syntax", 1, 6),
        ("FROM a\nCOPY --from=1 a b\n", "unknown-stage", 2, 13),
        ("FROM a AS x\nCOPY --from=x a b\n", "unknown-stage", 2, 13),
        ("FROM a\n{}\n", "dockerfile-syntax", 2, 1),
    ],
)
def test_mistakes(text: str, reason: str, line: int, column: int) -> None:
    error = failure(text)
    assert error.at is not None
    assert (error.reason, error.at.line, error.at.column) == (reason, line, column)


def test_an_unknown_target() -> None:
    error = failure("FROM a AS x\n", "y")
    assert (error.reason, "x" in error.hint) == ("unknown-stage", True)


def test_all_mistakes_at_once() -> None:
    with pytest.raises(ErrorList) as caught:
        dockerfile.parse("FROM a\nRUNN x\nCOPY --no a b\nFROM a b c d\n")
    assert [error.at.line for error in caught.value.errors if error.at] == [2, 3, 4]


def test_what_platform_arguments_are() -> None:
    assert plan("ARG TARGETARCH\nFROM x-${TARGETARCH}\n").stages[0].base == "x-amd64"
