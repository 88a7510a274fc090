"""docker run -p."""

from __future__ import annotations

import pytest

from stackfile.cli.ports import parse_port
from stackfile.errors import UsageError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("80", [("", 0, 80, "tcp")]),
        ("8080:80", [("", 8080, 80, "tcp")]),
        ("53:53/udp", [("", 53, 53, "udp")]),
        ("127.0.0.1:8080:80", [("127.0.0.1", 8080, 80, "tcp")]),
        ("127.0.0.1::80", [("127.0.0.1", 0, 80, "tcp")]),
        ("[::1]:8080:80", [("::1", 8080, 80, "tcp")]),
        ("8000-8001:80-81", [("", 8000, 80, "tcp"), ("", 8001, 81, "tcp")]),
        ("80-81", [("", 0, 80, "tcp"), ("", 0, 81, "tcp")]),
    ],
)
def test_forms(text: str, found: list[tuple[str, int, int, str]]) -> None:
    assert [(port.host_ip, port.published, port.target, port.protocol) for port in parse_port(text)] == found


@pytest.mark.parametrize("text", ["", "x", "80:x", "99999:80", "0:80", "80/icmp", "8000-8002:80-81", "81-80", "80:"])
def test_wrong(text: str) -> None:
    with pytest.raises(UsageError):
        parse_port(text)
