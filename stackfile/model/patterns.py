"""Wildcards in the sources of copy steps, as Go's `path.Match` has them (Dockerfile reference, COPY)."""

from __future__ import annotations

import posixpath
import re


def has_wildcard(pattern: str) -> bool:
    """Whether a source is a pattern and not a plain path."""
    return any(character in pattern for character in "*?[")


def normal(source: str) -> str:
    """A source as paths of a context are written: relative, without `./` and without a slash at the end."""
    return posixpath.normpath(source.lstrip("/") or ".")


def matches(pattern: str, path: str) -> bool:
    """Whether `path` matches: `*` and `?` stay within a name, `[…]` is a class of characters, `\\` escapes."""
    return re.fullmatch(_translate(pattern), path, re.DOTALL) is not None


def _translate(pattern: str) -> str:
    result = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            result.append("[^/]*")
        elif character == "?":
            result.append("[^/]")
        elif character == "\\" and position < len(pattern):
            result.append(re.escape(pattern[position]))
            position += 1
        elif character == "[" and (end := pattern.find("]", position + 1)) > 0:
            inside = pattern[position:end].replace("\\", "\\\\")
            result.append("[" + ("^" + inside[1:] if inside[0] in "^!" else inside) + "]")
            position = end + 1
        else:
            result.append(re.escape(character))
    return "".join(result)
