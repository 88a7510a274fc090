"""WWW-Authenticate headers as registries send them."""

from __future__ import annotations

import pytest

from stackfile.registry.challenge import Challenge, parse


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", []),
        ("Basic", [Challenge("basic")]),
        ('Basic realm="Registry Realm"', [Challenge("basic", {"realm": "Registry Realm"})]),
        (
            'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",'
            'scope="repository:library/busybox:pull,push"',
            [
                Challenge(
                    "bearer",
                    {
                        "realm": "https://auth.docker.io/token",
                        "service": "registry.docker.io",
                        "scope": "repository:library/busybox:pull,push",
                    },
                )
            ],
        ),
        ("Bearer realm=https://x/t , error=invalid_token", [Challenge("bearer", {"realm": "https://x/t",
                                                                                 "error": "invalid_token"})]),
        (r'Basic realm="a \"quoted\" one"', [Challenge("basic", {"realm": 'a "quoted" one'})]),
        (
            'Bearer realm="https://x/t", Basic realm="y"',
            [Challenge("bearer", {"realm": "https://x/t"}), Challenge("basic", {"realm": "y"})],
        ),
        ('"nonsense', []),
    ],
)  # fmt: skip
def test_parse(header: str, found: list[Challenge]) -> None:
    assert parse(header) == found
