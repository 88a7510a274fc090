"""`include`: other stack files whose resources join this one's, each with a project directory and variables of its own.

Compose's rules: an entry is a path, or a mapping of `path` (one, or several that are merged), `project_directory` and
`env_file`. In a Compose file, what it says itself goes over what it includes, and what is included first over what
follows; in a stack file, what both sides define must be the same.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass

from stackfile.errors import ErrorCollector, ErrorList, Place, StackError, StackfileError
from stackfile.language.dialect import COMPOSE, SourceFile, dialect_of
from stackfile.language.document import SECTIONS
from stackfile.language.merge import merge
from stackfile.language.nodes import Mapping, Node, Scalar, Sequence, kind_of, to_plain

_KEYS = frozenset({"path", "project_directory", "env_file"})
_IMPORTED = ("values", *SECTIONS)


@dataclass(frozen=True, slots=True)
class Included:
    """One entry of `include`: files, their directory, their env files (None: `.env` where it exists)."""

    files: tuple[SourceFile, ...]
    directory: str
    env_files: tuple[str, ...] | None
    at: Place


Load = Callable[[Included], Mapping]


class Includer:
    """Resolves the `include` of one load."""

    def __init__(self, load: Load, errors: ErrorCollector) -> None:
        self._load = load
        self._errors = errors
        self._open: list[str] = []

    def stacks(self, tree: Mapping, file: SourceFile, directory: str) -> list[Mapping]:
        """What `tree` includes. `directory` is where its relative paths start."""
        node = tree.get("include")
        if not isinstance(node, Sequence):
            if node is not None and not (isinstance(node, Scalar) and node.value is None):
                self._errors.add(StackError("bad-type", f"include is a list, not {kind_of(node)}", at=node.place))
            return []
        result: list[Mapping] = []
        self._open.append(file.path)
        for item in node.items:
            try:
                result.append(self._included(_entry(item, file, directory)))
            except ErrorList as error:
                self._errors.errors.extend(error.errors)
            except StackfileError as error:
                self._errors.add(error)
        self._open.pop()
        return result

    def joined(self, tree: Mapping, file: SourceFile, stacks: list[Mapping]) -> Mapping:
        """`tree` with what it includes."""
        for other in stacks:
            tree = self._joined(tree, other, file.dialect == COMPOSE)
        return tree

    def _included(self, entry: Included) -> Mapping:
        for file in entry.files:
            if file.path in self._open:
                raise StackError("include-cycle", f"{file.shown} includes itself", at=entry.at)
        return self._load(entry)

    def _joined(self, tree: Mapping, other: Mapping, over: bool) -> Mapping:
        for section in _IMPORTED:
            theirs, ours = other.get(section), tree.get(section)
            if not isinstance(theirs, Mapping):
                continue
            if not isinstance(ours, Mapping):
                tree = tree.with_entry(section, theirs, other.keys[section].place)
                continue
            if over:
                tree = tree.with_entry(section, merge(theirs, ours, (section,), self._errors))
                continue
            tree = tree.with_entry(section, self._section(section, ours, theirs))
        return tree

    def _section(self, section: str, ours: Mapping, theirs: Mapping) -> Mapping:
        for name, node in theirs.entries.items():
            present = ours.get(name)
            if present is None:
                ours = ours.with_entry(name, node, theirs.keys[name].place)
            elif to_plain(present) != to_plain(node):
                place, other = ours.keys[name].place, theirs.keys[name].place
                message = f"{section}.{name} is included too, and differs"
                error = StackError("name-collision", message, at=place, cause=f"the other is at {other}", stack=[other])
                self._errors.add(error)
        return ours


def _entry(item: Node, file: SourceFile, directory: str) -> Included:
    """One item of the list. Raises StackError."""
    if isinstance(item, Scalar):
        paths, own, env = [_text(item)], "", None
    elif isinstance(item, Mapping):
        for key, mark in item.keys.items():
            if key not in _KEYS and not key.startswith("x-"):
                close = difflib.get_close_matches(key, _KEYS, 1)
                hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(_KEYS))}"
                raise StackError("unknown-key", f"unknown key {key!r} in include", at=mark.place, hint=hint)
        if "path" not in item.entries:
            raise StackError("missing-key", "include needs `path`", at=item.place)
        paths = _texts(item.entries["path"])
        own = _text(item.entries["project_directory"]) if "project_directory" in item.entries else ""
        env = _env_files(item.get("env_file"))
    else:
        raise StackError("bad-type", f"a path or a mapping is wanted here, not {kind_of(item)}", at=item.place)
    full = [os.path.normpath(os.path.join(directory, os.path.expanduser(path))) for path in paths]
    base = os.path.normpath(os.path.join(directory, own)) if own else os.path.dirname(full[0])
    shown = [os.path.normpath(os.path.join(os.path.dirname(file.shown), path)) for path in paths]
    files = (SourceFile(name, path, dialect_of(path) or file.dialect) for name, path in zip(shown, full, strict=True))
    envs = None if env is None else tuple(os.path.normpath(os.path.join(directory, path)) for path in env)
    return Included(tuple(files), base, envs, item.place)


def _env_files(node: Node | None) -> list[str] | None:
    """The env files; an empty list names none, as no list does."""
    if node is None or (isinstance(node, Scalar) and node.value is None):
        return None
    return None if isinstance(node, Sequence) and not node.items else _texts(node)


def _text(node: Node) -> str:
    if not isinstance(node, Scalar) or not isinstance(node.value, str) or not node.value:
        raise StackError("bad-type", f"a path is wanted here, not {kind_of(node)}", at=node.place)
    return node.value


def _texts(node: Node) -> list[str]:
    texts = [_text(item) for item in node.items] if isinstance(node, Sequence) else [_text(node)]
    if not texts:
        raise StackError("bad-value", "this must not be empty", at=node.place)
    return texts
