"""The WWW-Authenticate header (RFC 9110 section 11.6.1; distribution's token specification)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_SCHEME = re.compile(r"\s*,?\s*([A-Za-z][A-Za-z0-9-]*)(?:\s+|$)(?=[A-Za-z0-9_-]+\s*=|$|[A-Za-z])")
_PARAMETER = re.compile(r'\s*,?\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))')


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way in. `scheme` is in lower case."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)


def parse(header: str) -> list[Challenge]:
    """All challenges of a header, in its order; what cannot be read ends it."""
    found: list[Challenge] = []
    offset = 0
    while offset < len(header):
        match = _SCHEME.match(header, offset)
        if match is None:
            break
        offset = match.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, offset):
            name, quoted, plain = parameter.groups()
            parameters[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            offset = parameter.end()
        found.append(Challenge(match[1].lower(), parameters))
    return found
