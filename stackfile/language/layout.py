"""The layout of a YAML text: its tokens at canonical columns, the text of each as it was written.

Nothing is emitted anew: every line is the author's, with other blanks before and between its tokens. So comments,
anchors, quotes and the order of keys stay by construction. What changes: two columns a level (a list under its key
too), one blank behind `:`, `-` and `,`, none inside brackets, no trailing blanks, at most one empty line.
"""

from __future__ import annotations

import re
from bisect import bisect
from dataclasses import dataclass
from typing import Any

import yaml

STEP = 2
BREAKS = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
"""What ends a line for YAML 1.1, and so for libyaml."""
_OPENERS = (yaml.FlowSequenceStartToken, yaml.FlowMappingStartToken)
_CLOSERS = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken)
_MARKERS = (yaml.DocumentStartToken, yaml.DocumentEndToken)
_HEADER = re.compile(r"[|>][+-]?([1-9]?)[+-]?")
_LIST_ITEM = re.compile(r"#\s*- ")


@dataclass(slots=True)
class _Level:
    """A block mapping or list that is open: its column as written and as laid out."""

    old: int
    new: int
    is_list: bool
    indentless: bool = False
    """A list in the column of its key: the scanner gives it neither a beginning nor an end."""


@dataclass(slots=True)
class _Bracket:
    """A flow collection that is open: the columns of its items and of its end, where they begin a line."""

    items: int
    end: int


@dataclass(slots=True)
class _Line:
    """A line as laid out so far."""

    text: str
    old: int
    new: int
    """The column of the first token, as written and as laid out."""
    end: int
    """Where the last token ends, as written."""
    last: type[Any]
    levels: tuple[_Level, ...]
    base: int
    """The column of the first token that is no dash: what begins in this line hangs from it."""
    inside: int | None = None
    """The column for a line that continues the flow collection which is open behind this one."""
    fixed: bool = False
    """Content of a scalar: an empty line counts, and nothing is appended."""

    @property
    def shift(self) -> int:
        return self.new - self.old


def laid_out(text: str, end: str = "\n") -> str:
    """A YAML text in canonical layout; `end` ends its lines. Raises yaml.YAMLError where it is none."""
    return _Layout(text).run(end)


class _Layout:
    """One text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.source = BREAKS.split(text)
        self.lines: dict[int, _Line] = {}
        self.levels: list[_Level] = []
        self.brackets: list[_Bracket] = []
        self.key = False
        """Whether the next token begins a key of the innermost mapping."""
        self.unended = False
        """Whether the text ends inside a block, without a line end: with one, the block's text would have it too."""

    def run(self, end: str) -> str:
        for token in yaml.scan(self.text, Loader=yaml.CSafeLoader):
            self._token(token)
        lines = self._joined()
        return end.join(lines) + (end if lines and not self.unended else "")

    # ------------------------------------------------------------ tokens

    def _token(self, token: Any) -> None:
        if isinstance(token, yaml.BlockMappingStartToken | yaml.BlockSequenceStartToken):
            is_list = isinstance(token, yaml.BlockSequenceStartToken)
            self.levels.append(_Level(token.start_mark.column, self._next_column(token.start_mark.line), is_list))
        elif isinstance(token, yaml.BlockEndToken):
            self._end_indentless()
            self.levels.pop()
        elif isinstance(token, yaml.KeyToken):
            if not self.brackets:
                self._end_indentless()
            self.key = True
            if token.start_mark.column != token.end_mark.column:  # `?`
                self._place(token)
        elif isinstance(token, yaml.ScalarToken):
            self._scalar(token)
        elif isinstance(token, yaml.DirectiveToken):
            self.levels.clear()
            self._place(token, self.source[token.start_mark.line].rstrip())
        elif not isinstance(token, yaml.StreamStartToken | yaml.StreamEndToken):
            self._visible(token)

    def _visible(self, token: Any) -> None:
        if isinstance(token, _MARKERS):
            self.levels.clear()
        elif isinstance(token, yaml.BlockEntryToken) and not (self.levels and self.levels[-1].is_list):
            outer = self.levels[-1]
            self.levels.append(_Level(token.start_mark.column, outer.new + STEP, True, True))
        if isinstance(token, _CLOSERS):
            closed = self.brackets.pop()
            line = self._place(token, column=closed.end)
        else:
            line = self._place(token)
        if isinstance(token, _OPENERS):
            rest = self.source[token.start_mark.line][token.end_mark.column :].lstrip(" \t")
            hangs = not rest or rest.startswith("#")
            column = len(line.text)
            self.brackets.append(_Bracket(line.base + STEP, line.base) if hangs else _Bracket(column, column - 1))
        line.inside = self.brackets[-1].items if self.brackets else None

    def _end_indentless(self) -> None:
        if self.levels and self.levels[-1].indentless:
            self.levels.pop()

    def _next_column(self, line: int) -> int:
        """Where a block collection stands whose first token is the next one."""
        if line in self.lines:
            return len(self.lines[line].text) + 1
        return self.levels[-1].new + STEP if self.levels else 0

    def _place(self, token: Any, text: str | None = None, column: int | None = None) -> _Line:
        """Puts a token (or its first line) into its line: behind what is there, or at the column of a first one."""
        mark, kind = token.start_mark, type(token)
        if text is None:
            text = self.source[mark.line][mark.column : token.end_mark.column]
        line = self.lines.get(mark.line)
        if line is None:
            column = self._first_column(kind) if column is None else column
            line = _Line(" " * column + text, mark.column, column, 0, kind, (), column)
            self.lines[mark.line] = line
        else:
            if line.last is yaml.BlockEntryToken and kind is not yaml.BlockEntryToken:
                line.base = len(line.text) + 1
            line.text += _gap(line.last, kind) + text
        self.key = False
        line.last, line.levels, line.end = kind, tuple(self.levels), token.end_mark.column
        line.inside = self.brackets[-1].items if self.brackets else None
        return line

    def _first_column(self, kind: type[Any]) -> int:
        """The column of a token that begins a line."""
        if self.brackets:
            return self.brackets[-1].items
        if not self.levels:
            return 0
        if self.key or kind in (yaml.BlockEntryToken, yaml.KeyToken, yaml.ValueToken):
            return self.levels[-1].new
        return self.levels[-1].new + STEP

    # ------------------------------------------------------------ scalars

    def _scalar(self, token: Any) -> None:
        first, last = token.start_mark, token.end_mark
        if token.style in ("|", ">"):
            self._block(token)
        elif first.line == last.line:
            self._place(token)
        else:
            self._folded(token)

    def _folded(self, token: Any) -> None:
        """A plain or quoted scalar over several lines: all move with the first one, behind their collection."""
        first, last = token.start_mark, token.end_mark
        quoted = token.style == '"'
        line = self._place(token, _stripped(self.source[first.line][first.column :], quoted))
        line.fixed = True
        least = self.levels[-1].new + STEP if self.levels else 0
        for number in range(first.line + 1, last.line + 1):
            whole = self.source[number]
            part = whole[: last.column] if number == last.line else whole
            text = _stripped(part.lstrip(" \t"), quoted)
            old = len(part) - len(part.lstrip(" \t"))
            column = max(old + line.shift, least)
            self.lines[number] = _Line(
                " " * column + text if text else "", old, column, last.column, yaml.ScalarToken, tuple(self.levels),
                column, line.inside, number < last.line,
            )  # fmt: skip

    def _block(self, token: Any) -> None:
        """A literal or folded block: its content moves as a whole, under its key."""
        first = token.start_mark
        match = _HEADER.match(self.source[first.line], first.column)
        assert match is not None
        self._place(token, match[0]).end = match.end()
        outer = self.levels[-1].old if self.levels else -1
        new = self.levels[-1].new if self.levels else 0
        start = first.line + 1
        if match[1]:
            old, new = max(outer, 0) + int(match[1]), new + int(match[1])
        else:
            old, new = self._content_column(start, outer), new + STEP
        end = self._content_end(start, old)
        if "+" in match[0]:
            while end < len(self.source) - 1 and not self.source[end].strip(" "):
                end += 1
        for number in range(start, end):
            content = self.source[number][old:]
            self.lines[number] = _Line(
                " " * new + content if content else "", old, new, 0, yaml.ScalarToken, tuple(self.levels), new,
                fixed=True,
            )  # fmt: skip
        self.unended = end == len(self.source) and "-" not in match[0]

    def _content_column(self, start: int, outer: int) -> int:
        """The column of a block's content, as libyaml finds it."""
        column = 0
        for line in self.source[start:]:
            column = max(column, len(line) - len(line.lstrip(" ")))
            if line.strip(" "):
                break
        return max(column, outer + 1, 1)

    def _content_end(self, start: int, column: int) -> int:
        """The line behind a block's last one that has content."""
        end = start
        for number in range(start, len(self.source)):
            line = self.source[number]
            if len(line) - len(line.lstrip(" ")) >= column and len(line) > column:
                end = number + 1
            elif line.strip(" "):
                break
        return end

    # ------------------------------------------------------------ lines

    def _joined(self) -> list[str]:
        """All lines, with comments, and empty ones once."""
        trailing = self._trailing()
        numbers = list(self.lines)
        result: list[str] = []
        above: _Line | None = None
        empty = False
        for number, written in enumerate(self.source):
            line = self.lines.get(number)
            if line is None and not written.strip(" \t"):
                empty = bool(result)
                continue
            if empty:
                result.append("")
                empty = False
            if line is None:
                index = bisect(numbers, number)
                below = self.lines[numbers[index]] if index < len(numbers) else None
                result.append(_comment(written, above, below))
            else:
                result.append(line.text + trailing.get(number, ""))
                above = line
        return result

    def _trailing(self) -> dict[int, str]:
        """Line → the comment behind its code, with the blanks before it: as many as there were, and where comments of
        lines that follow each other stand in one column, they do so again.
        """
        result: dict[int, str] = {}
        group: list[tuple[int, str]] = []
        columns: list[int] = []

        def close() -> None:
            if not group:
                return
            gap = columns[-1] - max(self.lines[number].end for number, _ in group)
            end = max(len(self.lines[number].text) for number, _ in group)
            for number, comment in group:
                result[number] = " " * (end + gap - len(self.lines[number].text)) + comment
            group.clear()

        for number, line in self.lines.items():
            written = self.source[number]
            comment = "" if line.fixed else written[line.end :].strip(" \t")
            if not comment:
                continue
            column = written.index(comment, line.end)
            if not (group and number == group[-1][0] + 1 and column == columns[-1]):
                close()
            group.append((number, comment))
            columns.append(column)
        close()
        return result


def _comment(written: str, above: _Line | None, below: _Line | None) -> str:
    """A comment of its own line: with what it stands beside, the next line before those above."""
    text = written.strip(" \t")
    if above is not None and above.inside is not None:
        return " " * above.inside + text
    old = len(written) - len(written.lstrip(" \t"))
    levels = [_Level(0, 0, False), *(above.levels if above else ())]
    item = bool(_LIST_ITEM.match(text)) and any(each.is_list and each.old == old for each in levels)
    if below is not None:
        if below.old == old and not item:
            return " " * below.new + text
        levels.append(_Level(below.old, below.new, False))
    # The nearest column; the innermost of several, the next line's before all.
    nearest = min(reversed(levels), key=lambda each: (abs(each.old - old), item and not each.is_list))
    return " " * nearest.new + text


def _gap(before: type[Any], after: type[Any]) -> str:
    """What stands between two tokens of one line."""
    if before in _OPENERS:
        return ""
    if after in _CLOSERS or after is yaml.FlowEntryToken:
        # Behind a tag or a colon, a comma or bracket would be read as a part of it.
        return " " if before in (yaml.ValueToken, yaml.TagToken) else ""
    if after is yaml.ValueToken:
        return "" if before is yaml.ScalarToken or before in _CLOSERS else " "
    return " "


def _stripped(text: str, double_quoted: bool) -> str:
    """A line of a folded scalar without trailing blanks, except one that a backslash keeps."""
    result = text.rstrip(" \t")
    slashes = len(result) - len(result.rstrip("\\"))
    return result + text[len(result)] if double_quoted and slashes % 2 and len(result) < len(text) else result
