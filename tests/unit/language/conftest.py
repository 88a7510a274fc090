"""Every stack that the tests of the language load is held against the schema of stack files."""

from __future__ import annotations

import pytest

from stackfile.errors import ErrorList, StackfileError
from stackfile.language import pipeline
from stackfile.model.stack import Stack
from tests.unit.language import agreement

LARGEST = 100_000
"""Bytes of the files of a stack beyond which a schema takes longer than the test that loads it."""


class Held(agreement.Watched):
    """A load that fails the test where the schema says something else."""

    def run(self) -> Stack:
        errors: list[StackfileError] = []
        try:
            return super().run()
        except ErrorList as error:
            errors = list(error.errors)
            raise
        except StackfileError as error:
            errors = [error]
            raise
        finally:
            if self.form.whole:
                assert agreement.disagreement(self, errors, set()) == []


@pytest.fixture(autouse=True)
def held(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if request.path.name not in ("test_performance.py", "test_hostile.py", "test_robust.py", "test_schema_variants.py"):
        monkeypatch.setattr(pipeline, "Pipeline", Held)
