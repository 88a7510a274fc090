"""Names of images, normalised as Docker does (distribution/reference: `normalize.go`, `regexp.go`)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stackfile import digest as digests
from stackfile.errors import ActionError

_DOMAIN = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
                     r"|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?")  # fmt: skip
_PATH = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A complete name: registry, repository, and a tag or a digest (or both)."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        pinned = f"@{self.digest}" if self.digest else ""
        return f"{self.domain}/{self.path}{tag}{pinned}"

    @property
    def familiar(self) -> str:
        """As a person writes it: without `docker.io/library/`."""
        path = self.path.removeprefix("library/") if self.domain == "docker.io" else f"{self.domain}/{self.path}"
        tag = f":{self.tag}" if self.tag else ""
        pinned = f"@{self.digest}" if self.digest else ""
        return f"{path}{tag}{pinned}"


def parse(text: str) -> Reference:
    """Read a reference; `busybox` becomes `docker.io/library/busybox:latest`. ActionError (`bad-request`)."""
    rest, _, pinned = text.partition("@")
    if pinned and not digests.is_digest(pinned):
        raise _invalid(text, "the digest is malformed")
    domain, path = _split_domain(rest)
    path, colon, tag = path.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise _invalid(text, "the tag is malformed")
    if domain == "docker.io" and "/" not in path:
        path = f"library/{path}"
    if not _DOMAIN.fullmatch(domain):
        raise _invalid(text, "the registry's name is malformed")
    if path != path.lower():
        raise _invalid(text, "repository names are lower case")
    if not _PATH.fullmatch(path) or len(domain) + 1 + len(path) > 255 or _HEX.fullmatch(rest):
        raise _invalid(text, "the repository's name is malformed")
    if not tag and not pinned:
        tag = "latest"
    return Reference(domain, path, tag, pinned)


def familiar(text: str) -> str:
    """The short form of a full reference, for display."""
    return parse(text).familiar


def _split_domain(rest: str) -> tuple[str, str]:
    first, slash, remainder = rest.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        return ("docker.io" if first == "index.docker.io" else first), remainder
    return "docker.io", rest


def _invalid(text: str, cause: str) -> ActionError:
    return ActionError("bad-request", f"invalid image reference {text!r}", cause=cause)
