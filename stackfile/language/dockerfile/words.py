"""Variables and quotes of Dockerfile instructions, as Docker's own shell lexer reads them.

`$X`, `${X}`, `${X:-word}`, `${X-word}`, `${X:+word}`, `${X+word}`, `${X:?word}`, `${X?word}`; single quotes keep
everything, double quotes substitute; the escape character keeps the next one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from stackfile.errors import StackError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#]")
_OPERATORS = (":-", ":+", ":?", "-", "+", "?")


def expand(text: str, variables: Mapping[str, str], escape: str = "\\") -> str:
    """`text` without its quotes, variables filled in (unset ones are empty). StackError (`dockerfile-syntax`)."""
    return _Lexer(text, variables, escape).word()


def expand_text(text: str, variables: Mapping[str, str], escape: str = "\\") -> str:
    """As `expand`, with quotes kept: the content of a heredoc."""
    return _Lexer(text, variables, escape, raw=True).word()


def split(text: str, escape: str = "\\") -> list[str]:
    """Words of a line at blanks outside of quotes; quotes and escapes stay in them."""
    words: list[str] = []
    word = ""
    quote = ""
    position = 0
    while position < len(text):
        character = text[position]
        if character == escape and quote != "'" and position + 1 < len(text):
            word += text[position : position + 2]
            position += 2
            continue
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character.isspace():
            if word:
                words.append(word)
            word = ""
            position += 1
            continue
        word += character
        position += 1
    if quote:
        raise StackError("dockerfile-syntax", f"a quote {quote} is open", hint="close it, or escape it")
    return [*words, word] if word else words


class _Lexer:
    def __init__(self, text: str, variables: Mapping[str, str], escape: str, raw: bool = False) -> None:
        self._text = text
        self._variables = variables
        self._escape = escape
        self._raw = raw
        self._position = 0

    def word(self, stop: str = "") -> str:
        """Up to the end, or to an unquoted `stop`, which is left behind."""
        result: list[str] = []
        special: Mapping[str, Callable[[], str]] = (
            {"$": self._variable} if self._raw else {"'": self._single, '"': self._double, "$": self._variable}
        )
        while self._position < len(self._text):
            character = self._text[self._position]
            if stop and character == stop:
                return "".join(result)
            if character in special:
                result.append(special[character]())
            elif character == self._escape:
                result.append(self._escaped())
            else:
                result.append(character)
                self._position += 1
        if stop:
            raise _open("${")
        return "".join(result)

    def _escaped(self) -> str:
        following = self._text[self._position + 1 : self._position + 2]
        self._position += 1 + len(following)
        if self._raw and following not in ("$", self._escape):
            return self._escape + following
        return following

    def _single(self) -> str:
        end = self._text.find("'", self._position + 1)
        if end < 0:
            raise _open("'")
        inside = self._text[self._position + 1 : end]
        self._position = end + 1
        return inside

    def _double(self) -> str:
        self._position += 1
        result: list[str] = []
        while self._position < len(self._text):
            character = self._text[self._position]
            if character == '"':
                self._position += 1
                return "".join(result)
            if character == "$":
                result.append(self._variable())
            elif character == self._escape:
                following = self._text[self._position + 1 : self._position + 2]
                result.append(following if following in ('"', "$", self._escape) else self._escape + following)
                self._position += 2
            else:
                result.append(character)
                self._position += 1
        raise _open('"')

    def _variable(self) -> str:
        self._position += 1
        if self._text.startswith("{", self._position):
            self._position += 1
            return self._braced()
        match = _NAME.match(self._text, self._position)
        if not match:
            return "$"
        self._position = match.end()
        return self._variables.get(match[0], "")

    def _braced(self) -> str:
        match = _NAME.match(self._text, self._position)
        if not match:
            raise StackError("dockerfile-syntax", "${ is followed by no variable's name")
        name = match[0]
        self._position = match.end()
        if self._text.startswith("}", self._position):
            self._position += 1
            return self._variables.get(name, "")
        operator = next((item for item in _OPERATORS if self._text.startswith(item, self._position)), "")
        if not operator:
            rest = self._text[self._position : self._position + 1]
            raise (
                _open("${")
                if not rest
                else StackError(
                    "dockerfile-syntax", f"${{{name}{rest}…}} is not supported", hint="there are :- :+ :? - + ?"
                )
            )
        self._position += len(operator)
        word = self.word("}")
        self._position += 1
        return self._choose(name, operator, word)

    def _choose(self, name: str, operator: str, word: str) -> str:
        value = self._variables.get(name)
        there = bool(value) if operator.startswith(":") else value is not None
        if operator.endswith("-"):
            return value or "" if there else word
        if operator.endswith("+"):
            return word if there else ""
        if not there:
            raise StackError("variable-required", f"{name}: {word or 'it must be set'}")
        return value or ""


def _open(what: str) -> StackError:
    return StackError("dockerfile-syntax", f"{what} is not closed")
