"""A few lines at the bottom of a terminal that are rewritten in place; whatever is finished scrolls away above."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from stackfile.cli.output.console import Console

_ERASE_BELOW = "\x1b[J"


class Frame:
    """The rewritten lines on stdout. The size is asked for at every drawing, so that a resize does no harm."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._drawn: list[int] = []
        """Columns of each line that stands on the terminal now."""

    def draw(self, above: Sequence[str], lines: Sequence[str]) -> None:
        """Print `above` for good, then `lines` as the new frame, in one write."""
        width = self._console.width(self._console.out) or 80
        cut = [clip(line, width - 1) for line in lines]
        text = self._rewind(width) + "".join(f"{line}\n" for line in (*above, *cut))
        self._drawn = [columns(line) for line in cut]
        self._console.out.write(text)
        self._console.out.flush()

    def fitted(self, line: str) -> str:
        """`line` without the room between its columns where the terminal is too narrow for it."""
        if columns(line) < (self._console.width(self._console.out) or 80):
            return line
        head = line[: len(line) - len(line.lstrip(" "))]
        return head + re.sub(" {3,}", "  ", line[len(head) :])

    @property
    def room(self) -> int:
        """Lines that a frame may have."""
        return max(3, (self._console.height(self._console.out) or 24) - 2)

    def _rewind(self, width: int) -> str:
        """Back to the frame's first line. On a terminal made narrower a line covers several."""
        if not self._drawn:
            return ""
        covered = sum(max(1, -(-length // width)) for length in self._drawn)
        return f"\x1b[{covered}A\r{_ERASE_BELOW}"


def columns(text: str) -> int:
    """Columns that `text` takes: colour codes none, East Asian wide letters two."""
    return sum(_width(letter) for letter in _plain(text))


def clip(text: str, limit: int) -> str:
    """`text` in at most `limit` columns; colours are closed."""
    if columns(text) <= limit:
        return text
    taken: list[str] = []
    used = 0
    coloured = False
    position = 0
    while position < len(text):
        if text[position] == "\x1b":
            end = text.index("m", position) + 1
            taken.append(text[position:end])
            coloured, position = True, end
            continue
        used += _width(text[position])
        if used > limit - 1:
            break
        taken.append(text[position])
        position += 1
    return "".join(taken) + "…" + ("\x1b[0m" if coloured else "")


def _plain(text: str) -> str:
    if "\x1b" not in text:
        return text
    head, *rest = text.split("\x1b")
    return head + "".join(part.partition("m")[2] for part in rest)


def _width(letter: str) -> int:
    if letter.isascii():
        return 1
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in ("W", "F") else 1
