"""References are normalised as Docker does."""

from __future__ import annotations

import pytest

from stackfile.errors import ActionError
from stackfile.images import references

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("quickstart/app", "docker.io/quickstart/app:latest", "quickstart/app:latest"),
        ("docker.io/library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("index.docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
        ("localhost:5000/x:v1", "localhost:5000/x:v1", "localhost:5000/x:v1"),
        ("registry.example/a/b_c", "registry.example/a/b_c:latest", "registry.example/a/b_c:latest"),
        ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
        (f"busybox@{DIGEST}", f"docker.io/library/busybox@{DIGEST}", f"busybox@{DIGEST}"),
        (f"busybox:1@{DIGEST}", f"docker.io/library/busybox:1@{DIGEST}", f"busybox:1@{DIGEST}"),
    ],
)
def test_normalised(text: str, full: str, familiar: str) -> None:
    parsed = references.parse(text)
    assert str(parsed) == full
    assert parsed.familiar == familiar
    assert str(references.parse(full)) == full
    assert str(references.parse(familiar)) == full


@pytest.mark.parametrize(
    "text",
    ["", ":", "UPPER", "a//b", "a/", "/a", "a:", "a:b:c", "a b", "a@sha256:12", "-a", "a..b/../c", "f" * 64, "x" * 256],
)
def test_refused(text: str) -> None:
    with pytest.raises(ActionError) as caught:
        references.parse(text)
    assert caught.value.reason == "bad-request"
