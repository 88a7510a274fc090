"""Where registries are, and which of them may do without TLS."""

from __future__ import annotations

import pytest

from stackfile.registry import endpoint


def test_the_hub_is_elsewhere() -> None:
    assert endpoint.host_of("docker.io") == "registry-1.docker.io"
    assert endpoint.host_of("quay.io") == "quay.io"


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("127.9.9.9", True),
        ("[::1]:5000", True),
        ("128.0.0.1:5000", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("quay.io", False),
        ("listed:5000", True),
        ("listed:5001", False),
        ("whole:1", True),
        ("whole", True),
    ],
)
def test_plain_http(host: str, allowed: bool) -> None:
    assert endpoint.policy("listed:5000, whole", "").allows_http(host) is allowed
