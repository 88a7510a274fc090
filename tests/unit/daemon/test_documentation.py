"""API.md and the table of routes say the same."""

from __future__ import annotations

import re
from importlib.resources import files

from stackfile.daemon import routes

_REQUEST = re.compile(r"`(GET|HEAD|POST|PUT|DELETE) (/[^ `?]*)`")


def test_every_route_is_documented_and_no_other() -> None:
    text = files("stackfile.daemon").joinpath("API.md").read_text(encoding="utf-8")
    documented = _REQUEST.findall(text)
    assert set(documented) == {(route.method, route.path) for route in routes.find()}
    assert len(documented) == len(set(documented))
