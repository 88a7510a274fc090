"""`.dockerignore`: which paths a context leaves out (Docker build reference; moby/patternmatcher).

A pattern matches a path or a directory above it; `**` is any number of names; `!` takes paths back in; the last
matching line counts.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Rule:
    expression: re.Pattern[str]
    returns: bool
    start: str
    """What the pattern's matches begin with."""


class Ignore:
    """The rules of one ignore file."""

    def __init__(self, text: str = "") -> None:
        self._rules = [rule for line in text.splitlines() if (rule := _rule(line)) is not None]

    def ignored(self, path: str) -> bool:
        """Whether a path (relative, without a slash at its end) is left out."""
        result = False
        for rule in self._rules:
            if rule.returns == result and rule.expression.fullmatch(path):
                result = not rule.returns
        return result

    def may_return(self, directory: str) -> bool:
        """Whether something below an ignored directory may be taken back in."""
        return any(
            rule.returns and (rule.start.startswith(f"{directory}/") or f"{directory}/".startswith(rule.start))
            for rule in self._rules
        )


def _rule(line: str) -> _Rule | None:
    text = line.strip()
    if not text or text.startswith("#"):
        return None
    returns = text.startswith("!")
    pattern = posixpath.normpath(text.removeprefix("!").strip().lstrip("/") or ".")
    start = re.split(r"[*?\[\\]", pattern, maxsplit=1)[0]
    return _Rule(re.compile(_translate(pattern) + "(/.*)?", re.DOTALL), returns, start)


def _translate(pattern: str) -> str:
    result = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if pattern.startswith("**/", position):
            result.append("(.*/)?")
            position += 3
            continue
        if pattern.startswith("**", position):
            result.append(".*")
            position += 2
            continue
        position += 1
        if character == "*":
            result.append("[^/]*")
        elif character == "?":
            result.append("[^/]")
        elif character == "[" and (end := pattern.find("]", position + 1)) > 0:
            result.append(f"[{pattern[position:end]}]")
            position = end + 1
        elif character == "\\" and position < len(pattern):
            result.append(re.escape(pattern[position]))
            position += 1
        else:
            result.append(re.escape(character))
    return "".join(result)
