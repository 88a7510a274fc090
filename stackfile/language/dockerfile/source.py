"""Cuts a Dockerfile into instructions: directives, comments, continued lines, heredocs, flags, JSON arrays."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from stackfile.errors import Place, StackError

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*")
_HEREDOC = re.compile(r"(?<![<\w])(\d*)<<(-?)(['\"]?)([A-Za-z_][A-Za-z0-9_.]*)\3")
_FLAG = re.compile(r"--([a-z][a-z0-9-]*)(?:=(\S*))?(?:\s+|$)")
_WITH_HEREDOCS = frozenset({"RUN", "COPY", "ADD"})
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Heredoc:
    """`<<NAME` and the text that follows. `literal`: its name is quoted, so variables stay as they are."""

    name: str
    text: str
    literal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction. `text` is what follows the flags, `array` that as a JSON array of texts."""

    keyword: str
    text: str
    at: Place
    flags: tuple[tuple[str, str], ...] = ()
    array: tuple[str, ...] | None = None
    heredocs: tuple[Heredoc, ...] = ()
    original: str = ""
    """The whole instruction in one line, without heredocs."""
    lines: tuple[str, ...] = field(default=(), repr=False)

    def place(self, token: str) -> Place:
        """Where a part of the instruction stands; the instruction itself where it cannot be found."""
        for offset, line in enumerate(self.lines):
            column = line.find(token)
            if token and column >= 0:
                return Place(self.at.file, self.at.line + offset, column + 1)
        return self.at

    def error(self, message: str, token: str = "", *, reason: str = "dockerfile-syntax", hint: str = "") -> StackError:
        """A mistake in the instruction, at `token`."""
        return StackError(reason, f"{self.keyword}: {message}", at=self.place(token), hint=hint)


@dataclass(slots=True)
class Source:
    """The instructions of a file, and its escape character."""

    escape: str
    instructions: list[Instruction]


def read(text: str, name: str) -> Source:
    """Cut `text`, called `name` in places. StackError (`dockerfile-syntax`, `too-large`)."""
    if len(text) > _LARGEST:
        raise StackError("too-large", f"{name} is larger than {_LARGEST} bytes", at=Place(name))
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    reader = _Reader(lines, name, _escape(lines, name))
    return Source(reader.escape, reader.run())


def single(text: str, at: Place, escape: str = "\\") -> Instruction:
    """An instruction that stands alone (ONBUILD). StackError (`dockerfile-syntax`)."""
    return _instruction(text, [text], at, escape)[0]


def _escape(lines: list[str], name: str) -> str:
    """The `escape` directive; directives end at the first line that is none."""
    for number, line in enumerate(lines, 1):
        match = _DIRECTIVE.fullmatch(line.strip())
        if not match:
            break
        if match[1].lower() == "escape":
            if match[2] not in ("\\", "`"):
                message = f"the escape character is \\ or `, not {match[2]}"
                raise StackError("dockerfile-syntax", message, at=Place(name, number, line.find(match[2]) + 1))
            return match[2]
    return "\\"


class _Reader:
    def __init__(self, lines: list[str], name: str, escape: str) -> None:
        self.escape = escape
        self._lines = lines
        self._name = name
        self._next = 0
        self._continued = re.compile(re.escape(escape) + r"[ \t]*$")

    def run(self) -> list[Instruction]:
        result: list[Instruction] = []
        while self._next < len(self._lines):
            line = self._lines[self._next]
            if not line.strip() or line.lstrip().startswith("#"):
                self._next += 1
                continue
            result.append(self._one())
        return result

    def _one(self) -> Instruction:
        start = self._next
        text = self._logical()
        column = len(self._lines[start]) - len(self._lines[start].lstrip()) + 1
        at = Place(self._name, start + 1, column)
        instruction, marks = _instruction(text, self._lines[start : self._next], at, self.escape)
        heredocs = [self._heredoc(mark, at) for mark in marks]
        return _with_heredocs(instruction, heredocs)

    def _logical(self) -> str:
        """One line with its continuations; comments and empty lines between them do not count."""
        parts: list[str] = []
        while self._next < len(self._lines):
            line = self._lines[self._next]
            self._next += 1
            if parts and (not line.strip() or line.lstrip().startswith("#")):
                continue
            match = self._continued.search(line)
            parts.append(line[: match.start()] if match else line)
            if not match:
                break
        return "".join([parts[0].lstrip(), *parts[1:]]).rstrip()

    def _heredoc(self, mark: re.Match[str], at: Place) -> Heredoc:
        strip, quote, name = mark[2], mark[3], mark[4]
        content: list[str] = []
        while self._next < len(self._lines):
            line = self._lines[self._next]
            self._next += 1
            if strip:
                line = line.lstrip("\t")
            if line == name:
                return Heredoc(name, "".join(f"{item}\n" for item in content), bool(quote))
            content.append(line)
        raise StackError("dockerfile-syntax", f"the heredoc {name} does not end", at=at, hint=f"a line {name} ends it")


def _with_heredocs(instruction: Instruction, heredocs: list[Heredoc]) -> Instruction:
    if not heredocs:
        return instruction
    from dataclasses import replace

    return replace(instruction, heredocs=tuple(heredocs), array=None)


def _instruction(text: str, lines: list[str], at: Place, escape: str) -> tuple[Instruction, list[re.Match[str]]]:
    keyword, rest = ([*text.split(None, 1), ""])[:2]
    keyword = keyword.upper()
    if not keyword.isalpha():
        raise StackError("dockerfile-syntax", f"not an instruction: {keyword!r}", at=at)
    rest = rest.strip()
    original = f"{keyword} {rest}".strip()
    flags: list[tuple[str, str]] = []
    if keyword not in ("ENV", "LABEL", "ARG", "CMD", "ENTRYPOINT", "SHELL", "ONBUILD", "MAINTAINER"):
        while match := _FLAG.match(rest):
            flags.append((match[1], match[2] if match[2] is not None else "true"))
            rest = rest[match.end() :]
    marks = list(_HEREDOC.finditer(rest)) if keyword in _WITH_HEREDOCS and not rest.startswith("[") else []
    instruction = Instruction(
        keyword=keyword,
        text=rest,
        at=at,
        flags=tuple(flags),
        array=_array(rest),
        original=original,
        lines=tuple(lines),
    )
    return instruction, marks


def _array(text: str) -> tuple[str, ...] | None:
    """The exec form: a JSON array of texts. Anything else is the shell form, as for Docker."""
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return tuple(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else None
