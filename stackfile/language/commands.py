"""The text of a command as words: Compose's own split, which is nearly a shell's.

Quotes and backslashes as in a shell, but `\\n` and `\\t` are a line end and a tab; what stands in backquotes and in
`$(…)` stays as it is, for nothing runs it. An operator of a shell (`;`, `|`, `&`, `<`, `>`) ends the command.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_BLANKS = " \t\r\n"
_OPERATORS = ";&|<>"
_ESCAPES = {"n": "\n", "t": "\t"}
_RAW = "`("
"""What opens a part that stays as it is."""


@dataclass(slots=True)
class _Words:
    """The words so far."""

    done: list[str] = field(default_factory=list)
    text: str = ""
    begun: bool = False
    """Whether there is a word; it may be empty, in quotes."""

    def add(self, character: str) -> None:
        self.text += character
        self.begun = True

    def end(self) -> None:
        if self.begun:
            self.done.append(self.text)
        self.text, self.begun = "", False


def split(text: str) -> tuple[list[str], str]:
    """The words of a command, and the text that no word was made of: from a shell's operator on.

    Raises ValueError, with what is wrong, where a quote or bracket is open or a bracket has no place.
    """
    words = _Words()
    inside = ""
    escaped = False
    for position, character in enumerate(text):
        if escaped:
            words.add(_ESCAPES.get(character, character))
            escaped = False
        elif character == "\\" and inside != "'":
            escaped = True
        elif inside:
            inside = _inside(character, inside, words)
        elif character in _BLANKS:
            words.end()
        elif character in _OPERATORS:
            if character == ">" and words.text.isdecimal():  # `2>`: the number of a stream
                words = _Words(words.done)
            words.end()
            return words.done, text[position:]
        else:
            inside = _outside(character, words)
    if inside or escaped:
        raise ValueError(f"no end of {inside or 'the backslash'}")
    words.end()
    return words.done, ""


def _inside(character: str, quote: str, words: _Words) -> str:
    """Takes a character between quotes or brackets; what is open behind it."""
    if quote == "(" and character == "(":
        raise ValueError("( in $(…)")
    ends = character == (")" if quote == "(" else quote)
    if not ends or quote in _RAW:
        words.add(character)
    return "" if ends else quote


def _outside(character: str, words: _Words) -> str:
    """Takes a character that is no blank outside of quotes; what it opens."""
    if character in "'\"":
        words.begun = True
        return character
    if character == ")" or (character == "(" and not words.text.endswith("$")):
        raise ValueError(f"{character} outside of quotes")
    words.add(character)
    return character if character in _RAW else ""
