"""Every case of the corpus: the same JSON as the real Compose, or refused by both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stackfile.errors import StackfileError
from stackfile.language import LoadOptions, configuration
from tests.compose import judge, known
from tests.compose.judge import Case, Verdict

pytestmark = pytest.mark.peer

CASES = judge.cases()


def readable(case: Case) -> bool:
    """Whether the canonical form of a case can be loaded again."""
    return not case.rejected and not case.stricter and case.name not in known.NOT_READ_BACK


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case) -> None:
    theirs = judge.verdicts(case.name.split("/")[0])[case.name].result()
    ours = judge.of_ours(case)
    if case.rejected or case.stricter:
        assert (theirs.plain is None) == bool(case.rejected), theirs.error or "Compose accepts it"
        assert isinstance(ours, list), "we accept it"
        refused_well(ours, case)
        if case.stricter:
            assert all(known.STRICTER[case.stricter].says(error) for error in ours), list(map(str, ours))
        return
    assert theirs.plain is not None, f"Compose refuses it: {theirs.error}"
    assert isinstance(ours, Verdict), f"we refuse it: {[str(error) for error in ours]}"
    found = list(judge.differences(theirs.plain, ours.plain))
    if case.differs:
        assert found, f"{case.name} needs no rule any more"
        return
    assert not found, "\n".join(found)


def refused_well(errors: list[StackfileError], case: Case) -> None:
    """The error has the reason that the case tells, and a place."""
    if case.rejected:
        assert case.rejected in [error.reason for error in errors], [f"{e.reason}: {e}" for e in errors]
    for error in errors:
        assert error.at is not None, error
        if error.reason not in ("file-not-found", "file-unreadable"):
            assert error.at.line, error
            assert error.at.column, error


@pytest.mark.parametrize("case", [c for c in CASES if readable(c)], ids=lambda case: case.name)
def test_what_is_printed_means_the_same(case: Case, tmp_path: Path) -> None:
    """The canonical form, long where the file was short, loads to the same stack and is its own canonical form."""
    stack, plain = configuration(judge.options(case))
    (tmp_path / "compose.json").write_text(json.dumps(plain))
    options = LoadOptions(files=("compose.json",), profiles=("*",), directory=str(tmp_path), environ=case.environ)
    again, printed = configuration(options)
    assert not list(judge.differences(plain, printed))
    assert (again.services, again.images) == (stack.services, stack.images)
    for kind in ("networks", "volumes", "configs", "secrets"):
        before, after = getattr(stack, kind), getattr(again, kind)
        assert after == {name: before[name] for name in after}


def test_every_rule_is_needed() -> None:
    assert {case.stricter for case in CASES if case.stricter} == set(known.STRICTER)
    assert {case.differs for case in CASES if case.differs} == set(known.DIFFERENT)


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 300
