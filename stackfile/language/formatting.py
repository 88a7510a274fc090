"""`fmt`: a YAML file in canonical layout that means what it meant, with every comment."""

from __future__ import annotations

import yaml

from stackfile.errors import ActionError, ErrorCollector, Place
from stackfile.language import source
from stackfile.language.layout import BREAKS, laid_out
from stackfile.language.nodes import Mapping, Node, Scalar, Sequence, Template

_BOM = "\ufeff"


def formatted(data: bytes, file: str) -> bytes:
    """The canonical layout of a stack or Compose file.

    A byte order mark stays, and so does the first line's kind of end, for all lines. What comes out is read again: it
    must be the same tree with the same comments. Raises StackError where the file is no YAML, ActionError (internal)
    where the layout would have changed it.
    """
    errors = ErrorCollector()
    before = source.parse_any(data, file, errors)
    errors.check()
    codec = source.encoding(data)
    text = data.decode(codec)
    mark, text = (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)
    result = laid_out(text, "\r\n" if text.partition("\n")[0].endswith("\r") else "\n")
    _check_same(before, result, file)
    if _comments(text) != _comments(result):
        raise _changed(Place(file))
    return (mark + result).encode(codec)


def _check_same(before: list[Node], result: str, file: str) -> None:
    """Raises ActionError where `result` is not the trees `before`."""
    errors = ErrorCollector()
    after = source.parse_any(result.encode(), file, errors)
    if errors.errors or len(before) != len(after):
        raise _changed(Place(file))
    seen: set[tuple[int, int]] = set()
    pending = list(zip(before, after, strict=True))
    while pending:
        one, other = pending.pop()
        if (id(one), id(other)) in seen:  # aliases: a tree may be there many times
            continue
        seen.add((id(one), id(other)))
        if not _same(one, other):
            raise _changed(one.place)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            pending += zip(one.entries.values(), other.entries.values(), strict=True)
        elif isinstance(one, Sequence) and isinstance(other, Sequence):
            pending += zip(one.items, other.items, strict=True)


def _same(one: Node, other: Node) -> bool:
    """Whether two nodes are the same, but for what is below them."""
    if type(one) is not type(other) or one.tag != other.tag:
        return False
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return list(one.entries) == list(other.entries)
    if isinstance(one, Sequence) and isinstance(other, Sequence):
        return len(one.items) == len(other.items)
    assert isinstance(one, Scalar | Template)
    assert isinstance(other, Scalar | Template)
    if isinstance(one, Scalar) and isinstance(other, Scalar):
        # NaN is not itself; the text says all there is to say of a number.
        return one.text == other.text and type(one.value) is type(other.value)
    return one.text == other.text


def _changed(at: Place) -> ActionError:
    message = "formatting would change what the file says: it stays as it is"
    return ActionError("internal", message, at=at, hint="please report the file")


def _comments(text: str) -> list[str]:
    """The comments of a YAML text, in order: what stands in its lines behind all tokens."""
    lines = BREAKS.split(text)
    ends: dict[int, int] = {}
    for token in yaml.scan(text, Loader=yaml.CSafeLoader):
        start, end = token.start_mark, token.end_mark
        if (start.line, start.column) == (end.line, end.column):
            continue
        ends |= dict.fromkeys(range(start.line, end.line), 1 << 30)
        ends[end.line] = end.column
        if isinstance(token, yaml.ScalarToken) and token.style in ("|", ">"):
            header = lines[start.line]
            ends[start.line] = start.column + len(header[start.column :].partition(" ")[0].rstrip("\t"))
    return [comment for number, line in enumerate(lines) if (comment := line[ends.get(number, 0) :].strip(" \t"))]
