"""How a job ended, from what became of its actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stackfile.errors import ActionError, StackfileError
from stackfile.reconcile.execution import Report
from stackfile.reconcile.jobs import CANCELLED, FAILED, Job, Outcome, cancelled


def outcome(job: Job, report: Report, result: dict[str, Any], late: Sequence[StackfileError] = ()) -> Outcome:
    """Cancelled after an interrupt; failed with the error of what failed (`late` ones had no action); else done."""
    if job.interrupted:
        return Outcome(status=CANCELLED, error=cancelled(), result=result)
    failures = [*(error for _, error in report.failed), *late]
    if len(failures) == 1:
        return Outcome(status=FAILED, error=failures[0], result=result)
    if failures:
        names = ", ".join(result["failed"])
        first = failures[0]
        error = ActionError(first.reason, f"{len(failures)} actions failed: {names}", cause=str(first), hint=first.hint)
        return Outcome(status=FAILED, error=error, result=result)
    if report.skipped:
        names = ", ".join(action.address for action in report.skipped)
        return Outcome(status=FAILED, error=ActionError("dependency-failed", f"skipped: {names}"), result=result)
    return Outcome(result=result)
