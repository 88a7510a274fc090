"""Phase 1: text of a file → nodes with places.

libyaml's parser gives events with line and column; the tree is composed here, so that keys keep their places,
duplicates are errors, and size, depth and aliases are bounded before they cost anything.
"""

from __future__ import annotations

import base64
import re
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from stackfile.errors import ErrorCollector, Place, StackError
from stackfile.language import scalars
from stackfile.language.nodes import Key, Mapping, Node, Scalar, Sequence, Template
from stackfile.language.quoting import quoted_line

MAX_BYTES = 16 << 20
MAX_DOCUMENTS = 100
MAX_DEPTH = 64
_TOO_DEEP = "exceeded maximum nesting depth"
"""The parser's own word (PyYAML from 6.0.4 on, 1,000 levels): it looks ahead, so it may come before our limit."""
MAX_EXPANDED = 200_000
"""Nodes of a file with every alias counted as often as it is used; more are refused when most come from aliases."""

TEMPLATE_MARKS = re.compile(r"\{\{|\{%|\{#")
MERGE_KEY = "<<"
_TAG_PREFIX = "tag:yaml.org,2002:"


def parse(data: bytes, file: str, errors: ErrorCollector, templates: bool = True) -> Node | None:
    """The tree of the YAML document in `data`; None for an empty one.

    With `templates`, scalars that contain `{{`, `{%` or `{#` become Template nodes. Mistakes that leave the rest
    readable (duplicate keys) go to `errors`. Raises StackError: too-large, too-deep, alias-bomb, yaml-syntax,
    unquoted-template, bad-value.
    """
    trees = _Composer(_text(data, file), file, errors, templates).documents(1)
    return trees[0] if trees else None


def parse_documents(data: bytes, file: str, errors: ErrorCollector) -> list[Node]:
    """The trees of all YAML documents in a Compose file: Compose lays each over the one before. Keys are text there.

    Raises as `parse`.
    """
    return _Composer(_text(data, file), file, errors, templates=False, text_keys=True).documents(MAX_DOCUMENTS)


def parse_any(data: bytes, file: str, errors: ErrorCollector) -> list[Node]:
    """The trees of all YAML documents in a file, in whichever dialect it is. Raises as `parse`."""
    return _Composer(_text(data, file), file, errors, templates=True).documents(MAX_DOCUMENTS)


def _text(data: bytes, file: str) -> str:
    if len(data) > MAX_BYTES:
        raise StackError("too-large", f"{file} has {len(data)} bytes", at=Place(file), hint=f"the limit is {MAX_BYTES}")
    codec = encoding(data)
    try:
        return data.decode(codec).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        name = "UTF-8" if codec == "utf-8" else "UTF-16, as its first two bytes say"
        raise StackError(
            "yaml-syntax", f"the file is not {name}", at=_place_of_byte(data, error.start, file)
        ) from error


def encoding(data: bytes) -> str:
    """How a YAML file's text is encoded: UTF-16 if it begins with that byte order mark, else UTF-8."""
    marks = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
    return marks.get(data[:2], "utf-8")


def _place_of_byte(data: bytes, offset: int, file: str) -> Place:
    before = data[:offset]
    start = before.rfind(b"\n") + 1
    return Place(file, before.count(b"\n") + 1, len(before[start:].decode("utf-8", "replace")) + 1)


class _Composer:
    """Composes the events of a file."""

    def __init__(self, text: str, file: str, errors: ErrorCollector, templates: bool, text_keys: bool = False) -> None:
        self.text = text
        self.file = file
        self.errors = errors
        self.templates = templates
        self.text_keys = text_keys
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.open_anchors: set[str] = set()
        self.written = 0
        self.expanded = 0
        self.lines: list[str] | None = None
        self.parser: Any = None

    def documents(self, limit: int) -> list[Node]:
        """The documents of the file; more than `limit` are refused."""
        try:
            self.parser = yaml.CSafeLoader(self.text)
            return self._documents(limit)
        except yaml.MarkedYAMLError as error:
            raise self._syntax_error(error) from error
        except yaml.YAMLError as error:
            raise StackError("yaml-syntax", "not YAML", at=self._reader_place(error), cause=_one_line(error)) from error
        finally:
            if self.parser is not None:
                self.parser.dispose()

    def _documents(self, limit: int) -> list[Node]:
        result: list[Node] = []
        start = self._next()
        assert isinstance(start, StreamStartEvent)
        while not isinstance(event := self._next(), StreamEndEvent):
            assert isinstance(event, DocumentStartEvent)
            if len(result) == limit:
                what = "a second document" if limit == 1 else f"more than {limit} documents"
                raise StackError("yaml-syntax", f"{what} in the file", at=self._place(event))
            self.anchors.clear()
            result.append(self._node(self._next(), 1)[0])
            end = self._next()
            assert isinstance(end, DocumentEndEvent)
        return result

    def _next(self) -> Any:
        return self.parser.get_event()

    def _place(self, event: Any) -> Place:
        mark = event.start_mark
        return Place(self.file, mark.line + 1, mark.column + 1)

    def _node(self, event: Any, depth: int) -> tuple[Node, int]:
        """The node that begins with `event`, and its size with aliases expanded."""
        if depth > MAX_DEPTH:
            raise StackError("too-deep", f"nested deeper than {MAX_DEPTH} levels", at=self._place(event))
        if isinstance(event, AliasEvent):
            return self._alias(event)
        self.written += 1
        if event.anchor:
            self.open_anchors.add(event.anchor)
        if isinstance(event, ScalarEvent):
            node, size = self._scalar(event), 1
        elif isinstance(event, MappingStartEvent):
            node, size = self._mapping(event, depth)
        else:
            assert isinstance(event, SequenceStartEvent)
            node, size = self._sequence(event, depth)
        if event.anchor:
            self.open_anchors.discard(event.anchor)
            self.anchors[event.anchor] = (node, size)
        return node, size

    def _alias(self, event: Any) -> tuple[Node, int]:
        place = self._place(event)
        if event.anchor in self.open_anchors:
            raise StackError("alias-bomb", f"alias *{event.anchor} contains itself", at=place)
        if event.anchor not in self.anchors:
            raise StackError("yaml-syntax", f"unknown alias *{event.anchor}", at=place)
        node, size = self.anchors[event.anchor]
        self.expanded += size
        if self.expanded > MAX_EXPANDED and self.expanded > 10 * self.written:
            raise StackError("alias-bomb", f"aliases expand to more than {MAX_EXPANDED} nodes", at=place)
        return node, size

    def _scalar(self, event: Any) -> Node:
        place = self._place(event)
        tag = _short_tag(event.tag)
        text = event.value
        if "\0" in text:  # ends a text for the kernel: what stands behind it would be lost without a word
            raise StackError("bad-value", "a text cannot hold the character NUL", at=place)
        if self.templates and "{" in text and TEMPLATE_MARKS.search(text):
            return Template(text, place, tag, self._text_start(event))
        if event.style or (event.tag and tag in ("!!str", "!")):
            return Scalar(_tagged(text, tag, place), text, place, tag)
        if event.implicit[0] or not tag.startswith("!!"):
            return Scalar(scalars.resolve(text), text, place, tag)
        return Scalar(_tagged(text, tag, place), text, place, tag)

    def _text_start(self, event: Any) -> tuple[int, int] | None:
        """Where the text of a scalar begins, if it stands in the file as it is in the value."""
        mark = event.start_mark
        if event.style == "|":
            if self.lines is None:
                self.lines = self.text.split("\n")
            for line in self.lines[mark.line + 1 :]:
                if line.strip():
                    return mark.line + 2, len(line) - len(line.lstrip(" ")) + 1
        if event.style == ">" or mark.line != event.end_mark.line:
            return None
        return mark.line + 1, mark.column + (2 if event.style else 1)

    def _sequence(self, event: Any, depth: int) -> tuple[Node, int]:
        items: list[Node] = []
        size = 1
        while not isinstance(child := self._next(), SequenceEndEvent):
            item, item_size = self._node(child, depth + 1)
            items.append(item)
            size += item_size
        return Sequence(items, self._place(event), _short_tag(event.tag)), size

    def _mapping(self, event: Any, depth: int) -> tuple[Node, int]:
        entries: dict[str, Node] = {}
        keys: dict[str, Key] = {}
        merged: list[tuple[Node, Place]] = []
        size = 1
        while not isinstance(key_event := self._next(), MappingEndEvent):
            place = self._place(key_event)
            key = self._key(key_event, event, depth)
            node, node_size = self._node(self._next(), depth + 1)
            size += node_size + 1
            if key == MERGE_KEY and not key_event.style:
                if merged and self.text_keys:
                    self._duplicate(key, place, merged[0][1])
                merged.append((node, place))
            elif key in entries:
                self._duplicate(key, place, keys[key].place)
            else:
                entries[key] = node
                keys[key] = Key(place, self.templates and bool(TEMPLATE_MARKS.search(key)))
        for node, place in merged:
            self._merge(entries, keys, node, place)
        return Mapping(entries, keys, self._place(event), _short_tag(event.tag)), size

    def _key(self, event: Any, parent: Any, depth: int) -> str:
        if isinstance(event, ScalarEvent):
            self.written += 1
            if self.text_keys and not event.style and event.value != MERGE_KEY and not event.tag:
                self._check_text(event)
            return str(event.value)
        if isinstance(event, MappingStartEvent) and parent.flow_style and event.flow_style:
            outer: Any = parent.start_mark
            inner: Any = event.start_mark
            if (outer.line, outer.column + 1) == (inner.line, inner.column):
                raise self._unquoted(outer.line, outer.column)
        if isinstance(event, AliasEvent):
            node, _ = self._alias(event)
            if isinstance(node, Scalar):
                return node.text
        raise StackError("bad-type", "a key must be text", at=self._place(event))

    def _check_text(self, event: Any) -> None:
        """A key that is a number, a boolean or null is none for Compose."""
        if not isinstance(scalars.resolve(event.value), str):
            hint = f'write "{event.value}"'
            raise StackError("bad-type", f"a key must be text, not {event.value}", at=self._place(event), hint=hint)

    def _duplicate(self, key: str, place: Place, first: Place) -> None:
        self.errors.add(
            StackError(
                "duplicate-key", f"key {key!r} is there twice", at=place, cause=f"first at {first}", stack=[first]
            )
        )

    def _merge(self, entries: dict[str, Node], keys: dict[str, Key], node: Node, place: Place) -> None:
        """`<<`: keys of the mapping itself win over merged ones, earlier merged ones over later."""
        for source in node.items if isinstance(node, Sequence) else [node]:
            if not isinstance(source, Mapping):
                raise StackError("bad-type", "`<<` takes a mapping or a list of mappings", at=place)
            for key, child in source.entries.items():
                if key not in entries:
                    entries[key] = child
                    keys[key] = source.keys[key]

    def _syntax_error(self, error: yaml.MarkedYAMLError) -> StackError:
        mark = error.problem_mark or error.context_mark
        if mark and error.problem == _TOO_DEEP:
            place = Place(self.file, mark.line + 1, mark.column + 1)
            return StackError("too-deep", f"nested deeper than {MAX_DEPTH} levels", at=place)
        lines = self.text.splitlines()
        if error.context_mark and (not mark or mark.line >= len(lines)):
            # At the end of the file it is what was left open that matters.
            mark = error.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        candidates = [line, line - 1] + ([error.context_mark.line] if error.context_mark else [])
        for number in candidates:
            found = quoted_line(lines[number]) if self.templates and 0 <= number < len(lines) else None
            if found:
                return self._unquoted(number, found[0])
        cause = ": ".join(part for part in (error.context, error.problem) if part)
        return StackError("yaml-syntax", "not YAML", at=Place(self.file, line + 1, column + 1), cause=cause)

    def _unquoted(self, line: int, column: int) -> StackError:
        source = self.text.splitlines()[line]
        found = quoted_line(source)
        hint = f"write {found[1].strip()}" if found else "put the whole value in quotes"
        return StackError(
            "unquoted-template", "a template must be in quotes", at=Place(self.file, line + 1, column + 1), hint=hint
        )

    def _reader_place(self, error: yaml.YAMLError) -> Place:
        position = getattr(error, "position", None)
        if not isinstance(position, int):
            return Place(self.file)
        before = self.text[:position]
        return Place(self.file, before.count("\n") + 1, position - before.rfind("\n"))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _short_tag(tag: str | None) -> str:
    if not tag:
        return ""
    return "!!" + tag.removeprefix(_TAG_PREFIX) if tag.startswith(_TAG_PREFIX) else tag


def _tagged(text: str, tag: str, place: Place) -> str | int | float | bool | None:
    """The value of a scalar with an explicit `!!` tag, or of a quoted one."""
    if tag in ("", "!", "!!str") or not tag.startswith("!!"):
        return text
    if tag == "!!binary":
        return _binary(text, place)
    value = scalars.resolve(text) if text else None
    if tag == "!!timestamp" and isinstance(value, str) and value != text:
        return value
    wanted: dict[str, tuple[type, ...]] = {"!!int": (int,), "!!float": (int, float), "!!bool": (bool,)}
    if tag == "!!null" and value is None:
        return None
    kinds = wanted.get(tag, ())
    if isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool)):
        return float(value) if tag == "!!float" and isinstance(value, int) else value
    raise StackError("bad-value", f"cannot read {text!r} as {tag}", at=place)


def _binary(text: str, place: Place) -> str:
    """The text that base64 digits stand for."""
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except ValueError as error:
        what = "its bytes are no UTF-8" if isinstance(error, UnicodeDecodeError) else "not base64"
        raise StackError("bad-value", f"cannot read {text!r} as !!binary: {what}", at=place) from error
