"""What parsers share: where errors go, what names exist, and reading the fields of a mapping."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Collection
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from stackfile.errors import ErrorCollector, Place, StackError
from stackfile.language.nodes import Broken, Mapping, Node, Scalar, Sequence, kind_of
from stackfile.language.options import Form, Reader
from stackfile.language.variables import Variables
from stackfile.model.stack import Ignored, ImageResource, Origin, Port

T = TypeVar("T")
D = TypeVar("D")


class Skip(Exception):
    """The node is broken, and its mistake is reported already."""


@dataclass(frozen=True, slots=True)
class Published:
    """A port as it was written, for the search for collisions."""

    service: str
    port: Port
    at: Place


@dataclass(slots=True, kw_only=True)
class Context:
    """What the parsers of one load share."""

    project: str
    directory: str
    variables: Variables
    reader: Reader
    errors: ErrorCollector
    images: Collection[str] = ()
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    references: list[Reference] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)
    links: dict[tuple[str, str], str] = field(default_factory=dict)
    """(service, alias) → the service that it links to."""
    ignored: dict[tuple[str, str], Ignored] = field(default_factory=dict)
    contents: bool = True
    """Whether the content of configs, secrets and build contexts is wanted: an engine needs it, `config` does not."""
    providers: set[str] = field(default_factory=set)
    """Services that another program provides (`provider`)."""
    built: dict[str, ImageResource] = field(default_factory=dict)
    """Images of the services' own `build:`, by their keys."""
    directories: MappingType[str, str] = field(default_factory=dict)
    """File → directory that its relative paths start from, where it is not the project's (extended, included)."""
    scopes: MappingType[str, Variables] = field(default_factory=dict)
    """File → variables, where they are not the project's (included)."""
    form: Form = field(default_factory=Form)
    """What stays as it was written (of the canonical form)."""
    forms: MappingType[str, MappingType[str, Callable[[Node, Context], object]]] = field(default_factory=dict)
    """Form of a mapping → key → what Compose demands of it, of keys that are taken without effect. None in Compose
    files, where all keys were held against Compose's form before."""

    def report(self, error: StackError) -> None:
        """Add an error, once: members of a group share their mistakes."""
        if all((other.at, other.reason) != (error.at, error.reason) for other in self.errors.errors):
            self.errors.add(error)

    def refer(self, owner: str, kind: str, name: str, at: Place) -> None:
        """Remember that `owner` (an address) names a resource; whether it exists is checked at the end."""
        self.references.append(Reference(owner, kind, name, at))

    def variables_at(self, at: Place) -> Variables:
        """The variables of the file in which `at` is: an included stack has its own."""
        return self.scopes.get(at.file, self.variables)

    def ignore(self, address: str, path: str, at: Place, why: str) -> None:
        """Remember a key that has no effect here. `path` is a JSON pointer in the resource."""
        self.ignored.setdefault((address, path), Ignored(address=address, path=f"/{path}", at=at, why=why))

    def path(self, text: str, at: Place | None = None) -> str:
        """A path as an absolute one; `at` is where it was written."""
        base = self.directories.get(at.file, self.directory) if at and self.directories else self.directory
        if not self.form.paths:
            # As written; of an extended or included file as it would be written in the stack's own directory.
            if base == self.directory:
                return text
            written = self._home(text)
            return written if written.startswith("/") else os.path.relpath(os.path.join(base, written), self.directory)
        return os.path.normpath(os.path.join(base, self._home(text)))

    def relative(self, text: str, at: Place) -> str:
        """A path of an extended or included file as it would be written in the stack's own directory."""
        base = self.directories.get(at.file, self.directory)
        if base == self.directory or text.startswith(("/", "git@")) or "://" in text:
            return text
        kept = "/" if text.endswith("/") else ""
        return os.path.relpath(os.path.join(base, text), self.directory) + kept

    def shown_path(self, text: str, at: Place | None = None) -> str:
        """A path as Compose prints it: what is absolute stays as it was written."""
        return text if text.startswith("/") else self.path(text, at)

    def _home(self, text: str) -> str:
        """`~` as the caller's home."""
        home = self.variables.get("HOME")
        return home + text[1:] if home and (text == "~" or text.startswith("~/")) else os.path.expanduser(text)


@dataclass(frozen=True, slots=True)
class Reference:
    owner: str
    kind: str
    name: str
    at: Place


class Fields:
    """Reads the keys of one mapping. `what` names it in messages; `nullable` are keys of which null is none."""

    def __init__(self, tree: Mapping, context: Context, what: str, nullable: Collection[str] = ()) -> None:
        self.tree = tree
        self.entries = tree.entries
        self.context = context
        self.what = what
        self.nullable = nullable
        self._seen: set[str] = set()

    def node(self, key: str) -> Node | None:
        """The node of a key; None where there is none. Null is reported, unless it means none there."""
        self._seen.add(key)
        node = self.entries.get(key)
        if node is None or (isinstance(node, Scalar) and node.value is None):
            if node is not None and key not in self.nullable and not isinstance(node, Broken):
                hint = "leave the key out; a template does so with `{{ … | default(omit) }}`"
                message = f"`{key}` of {self.what} is null"
                self.context.report(StackError("bad-type", message, at=node.place, hint=hint))
            return None
        return node

    def take(self, key: str, parse: Callable[[Node], T], default: T) -> T:
        """The parsed value of a key, `default` where it is not there or wrong (which is reported)."""
        self._seen.add(key)
        if key not in self.entries or (node := self.node(key)) is None:
            return default
        return self.guard(lambda: parse(node), node, default)

    def guard(self, call: Callable[[], T], node: Node, default: D) -> T | D:
        """Result of `call`; an error is reported at `node` unless it knows better."""
        try:
            return call()
        except Skip:
            return default
        except StackError as error:
            if error.at is None:
                error.at = node.place
            self.context.report(error)
            return default

    def take_list(self, key: str, parse: Callable[[Node], T | list[T]]) -> tuple[T, ...]:
        """The parsed items of a list. A parser may give several values for an item."""
        self._seen.add(key)
        if key not in self.entries or (node := self.node(key)) is None:
            return ()
        if not isinstance(node, Sequence):
            return self.guard(lambda: not_a(node, "a list"), node, ())
        result: list[T] = []
        for item in node.items:
            nothing: list[T] = []
            parsed = self.guard(partial(parse, item), item, nothing)
            result.extend(parsed if isinstance(parsed, list) else [parsed])
        return tuple(result)

    def require(self, key: str, parse: Callable[[Node], T], default: T) -> T:
        """As `take`, and the key must be there."""
        if self.tree.get(key) is None:
            self._seen.add(key)
            error = StackError("missing-key", f"{self.what} needs `{key}`", at=self.tree.place)
            self.context.report(error)
            return default
        return self.take(key, parse, default)

    def ignore(self, address: str, table: MappingType[str, str], prefix: str = "", form: str = "") -> None:
        """Take the keys of `table` (key → why) without effect, and remember them. `form` names the mapping's form."""
        for key, node in self.entries.items():
            if key not in table:
                continue
            self.context.ignore(address, f"{prefix}{key}", self.tree.keys[key].place, table[key])
            if check := self.context.forms.get(form, {}).get(key):
                self.guard(partial(check, node, self.context), node, None)
        self._seen.update(table)

    def finish(self, unsupported: Collection[str] = ()) -> None:
        """Report keys that nobody read: known to Compose but not yet here, or unknown."""
        for key, mark in self.tree.keys.items():
            if key in self._seen or key.startswith("x-"):
                continue
            if key in unsupported:
                message = f"`{key}` of {self.what} is not supported yet"
                self.context.report(StackError("unsupported-key", message, at=mark.place))
                continue
            close = difflib.get_close_matches(key, self._seen, 1)
            hint = f"did you mean {close[0]}?" if close else ""
            message = f"unknown key {key!r} in {self.what}"
            self.context.report(StackError("unknown-key", message, at=mark.place, hint=hint))


def not_a(node: Node, wanted: str) -> T:  # type: ignore[type-var]
    """Raise: `node` is not what is wanted there."""
    if isinstance(node, Broken):
        raise Skip
    raise StackError("bad-type", f"{wanted} is wanted here, not {kind_of(node)}", at=node.place)


def as_mapping(node: Node) -> Mapping:
    return node if isinstance(node, Mapping) else not_a(node, "a mapping")


def fields(node: Node, context: Context, what: str) -> Fields:
    """The fields of a node that must be a mapping."""
    return Fields(as_mapping(node), context, what)
