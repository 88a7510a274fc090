"""Every case of the corpus: the same JSON as the real Compose, or refused by both."""

from __future__ import annotations

import pytest

from stackfile.errors import StackfileError
from tests.compose import judge, known
from tests.compose.judge import Case, Verdict

pytestmark = pytest.mark.peer

CASES = judge.cases()


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
        if error.reason != "file-not-found":
            assert error.at.line, error
            assert error.at.column, error


def test_every_rule_is_needed() -> None:
    assert {case.stricter for case in CASES if case.stricter} == set(known.STRICTER)
    assert {case.differs for case in CASES if case.differs} == set(known.DIFFERENT)


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 300
