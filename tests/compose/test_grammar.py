"""Texts made by chance of what `${…}` and env files consist of: the same value as the real Compose, or both refuse."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.compose import judge
from tests.compose.judge import Case, Verdict

pytestmark = pytest.mark.peer

bounded = settings(
    max_examples=40, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
VARIABLES = judge.ENVIRONMENT | {"A": "1", "E": "", "Q": "x y"}
PIECES = (
    "$",
    "$$",
    "${",
    "}",
    "{",
    "$A",
    "${A}",
    "${U:-",
    "${U-",
    "${E:-",
    "${A:+",
    "${U:?",
    "${E?",
    "a",
    " ",
    ":",
    "-",
    "?",
)
LINES = (
    "X",
    "Y.z",
    "export ",
    "=",
    ": ",
    "'",
    '"',
    "a",
    "$X",
    "${U:-b}",
    "$A",
    " #c",
    "#",
    "\\",
    "\\n",
    " ",
    "\n",
    "\t",
    "\r\n",
)


@bounded
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join))
def test_interpolation(text: str) -> None:
    agree(json.dumps({"services": {"a": {"image": "x", "labels": {"k": text}}}}), "")


@bounded
@given(st.lists(st.sampled_from(LINES), max_size=8).map(lambda pieces: "X=" + "".join(pieces) + "\nZ=1\n"))
def test_env_file(text: str) -> None:
    agree("services: {a: {image: x, env_file: e.env}}", text)


def agree(compose: str, env: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name, "project")
        directory.mkdir()
        (directory / "compose.yaml").write_text(compose)
        (directory / "e.env").write_bytes(env.encode())
        case = Case("grammar", directory, environ=VARIABLES)
        theirs, ours = judge.of_compose(case), judge.of_ours(case)
    if theirs.plain is None or not isinstance(ours, Verdict):
        nameless = theirs.plain is not None and "" in theirs.plain["services"]["a"].get("environment", {})
        assert nameless or (theirs.plain is None and not isinstance(ours, Verdict)), (theirs, ours)
        return
    assert not list(judge.differences(theirs.plain, ours.plain))
