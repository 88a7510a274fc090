"""Where a field was written."""

from __future__ import annotations

import pytest

from stackfile.errors import Place
from stackfile.model.stack import Origin
from stackfile.reconcile import origins

WRITTEN = {
    key: Origin(Place("f", line))
    for line, key in enumerate(
        (
            "service.web",
            "service.web/environment/A",
            "service.web/environment",
            "service.web/deploy/resources/limits/memory",
            "service.web/volumes",
            "service.web/secrets",
            "service.web/healthcheck",
            "service.web/deploy",
        )
    )
}


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("environment/A", "service.web/environment/A"),
        ("environment/B", "service.web/environment"),
        ("resources/memory", "service.web/deploy/resources/limits/memory"),
        ("mounts//data", "service.web/volumes"),
        ("files//run/secrets/s/content", "service.web/secrets"),
        ("healthcheck", "service.web/healthcheck"),
        ("user", "service.web"),
    ],
)
def test_the_nearest_place_that_is_known(path: str, key: str) -> None:
    assert origins.find(WRITTEN, "service.web", path) == WRITTEN[key]


def test_nothing_is_known() -> None:
    assert origins.find({}, "service.web", "user") is None
