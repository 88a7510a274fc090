import pytest

from stackfile.api.client import parse_time, result_of
from stackfile.errors import ActionError, NotFoundError
from stackfile.model.event import JobEvent
from stackfile.wire import error_to_plain


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("1970-01-01T00:00:01Z", 10**9),
        ("2023-11-14T22:13:20.000000001Z", 1_700_000_000_000_000_001),
        ("2023-11-14T22:13:20.5Z", 1_700_000_000_500_000_000),
    ],
)
def test_times(text: str, time_ns: int) -> None:
    assert parse_time(text) == time_ns


def event(type: str, **fields: object) -> JobEvent:  # noqa: A002
    return JobEvent(sequence=1, type=type, **fields)  # type: ignore[arg-type]


def test_a_job_that_is_done() -> None:
    end = event("end", status="done", result={"a": 1})
    assert result_of(iter([event("job"), end])) is end


def test_a_job_that_failed_raises_its_error() -> None:
    end = event("end", status="failed", error=error_to_plain(NotFoundError("network", "x")))
    with pytest.raises(NotFoundError):
        result_of(iter([end]))


@pytest.mark.parametrize(
    ("events", "reason"),
    [([], "action-failed"), ([event("job")], "action-failed"), ([event("end", status="cancelled")], "cancelled")],
)
def test_a_job_without_an_end(events: list[JobEvent], reason: str) -> None:
    with pytest.raises(ActionError) as caught:
        result_of(iter(events))
    assert caught.value.reason == reason
