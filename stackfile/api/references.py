"""Names of images as the caller's side needs them: which registry they are of, and in full."""

from __future__ import annotations

_HUB = "docker.io"
_HUB_NAMES = ("index.docker.io", "registry-1.docker.io", _HUB)


def registry_of(reference: str) -> str:
    """The registry's host that an image reference names; `docker.io` where it names none."""
    return _split(reference)[0]


def full_name(reference: str) -> str:
    """The full name, as the engine lists it: `docker.io/library/busybox:latest` for `busybox`."""
    host, rest = _split(reference)
    if host == _HUB and "/" not in rest:
        rest = f"library/{rest}"
    return f"{host}/{rest}" if ":" in rest.rpartition("/")[2] else f"{host}/{rest}:latest"


def named(reference: str) -> str:
    """The full name without tag and digest."""
    return full_name(reference.partition("@")[0]).rpartition(":")[0]


def _split(reference: str) -> tuple[str, str]:
    first, slash, rest = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        return (_HUB if first in _HUB_NAMES else first), rest
    return _HUB, reference
