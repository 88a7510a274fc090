"""One line of `system doctor`."""

from __future__ import annotations

OK, WARNING, MISSING = "ok", "warning", "missing"

Row = tuple[str, str, str, str]
"""(check, status ok|warning|missing, what was found, how to mend it)"""


def judged(name: str, good: bool, found: str, mend: str, *, bad: str = WARNING) -> Row:
    """A row that is ok, or else has the status `bad` and says how to mend it."""
    return (name, OK, found, "") if good else (name, bad, found, mend)


def read(path: str) -> str:
    """A small file's text without blanks around it, "" where it cannot be read."""
    try:
        with open(path, errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
