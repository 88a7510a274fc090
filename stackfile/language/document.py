"""One file of a stack: parsed, its dialect settled, `${…}` in its literals replaced."""

from __future__ import annotations

from collections.abc import Iterator

from stackfile.errors import ErrorCollector, Place, StackError
from stackfile.language import merge, source
from stackfile.language.dialect import COMPOSE, STACK, SourceFile
from stackfile.language.interpolate import interpolate
from stackfile.language.nodes import Broken, Interpolated, Mapping, Node, Scalar, Sequence, Template, kind_of
from stackfile.language.options import Reader
from stackfile.language.tracked import Tracker
from stackfile.language.variables import Variables

STACK_KEYS = frozenset({"values", "values_schema", "environments", "images"})
SECTIONS = ("images", "services", "networks", "volumes", "configs", "secrets")
_LOOP_KEYS = ("for_each", "when")
_OWN_KEYS = {"secrets": ("content", "generate", "command")}
"""Section → keys that Compose does not have."""
_LITERAL_SECTIONS = frozenset({"values_schema"})
"""Sections that are neither templated nor interpolated (a JSON Schema is full of `$`)."""


def read_bytes(path: str, shown: str, reader: Reader, at: Place | None = None) -> bytes:
    """Content of a file that the stack names. Raises StackError (file-not-found, file-unreadable)."""
    try:
        return reader.read(path)
    except FileNotFoundError as error:
        raise StackError("file-not-found", f"no such file: {shown}", at=at or Place(shown)) from error
    except OSError as error:
        cause = error.strerror or str(error)
        raise StackError("file-unreadable", f"cannot read {shown}", at=at or Place(shown), cause=cause) from error


class Documents:
    """Reads files into trees, for one load."""

    def __init__(self, reader: Reader, errors: ErrorCollector) -> None:
        self.reader = reader
        self.errors = errors

    def read(self, file: SourceFile, at: Place | None = None) -> tuple[Mapping, str]:
        """(tree, dialect) of a file; an empty file is an empty mapping. Raises StackError."""
        data = read_bytes(file.path, file.shown, self.reader, at)
        dialect = _declared_dialect(data, file.shown) or file.dialect
        trees: list[Node] = []
        if dialect == COMPOSE:
            trees = source.parse_documents(data, file.shown, self.errors)
        elif (parsed := source.parse(data, file.shown, self.errors)) is not None:
            trees = [parsed]
        result: Mapping | None = None
        if len(trees) > 1 and isinstance(trees[0], Scalar):
            raise StackError("not-a-mapping", "the first document is empty or no mapping", at=trees[0].place)
        for tree in trees:
            result = self._over(result, tree)
        if result is None:
            return Mapping({}, {}, Place(file.shown, 1, 1)), dialect
        if dialect == COMPOSE:
            self._refuse_stack_keys(result)
        return result, dialect

    def _over(self, base: Mapping | None, tree: Node) -> Mapping | None:
        """A document over those before it; an empty one may stand alone, as an empty file."""
        if base is None and isinstance(tree, Scalar) and tree.value is None:
            return None
        if not isinstance(tree, Mapping):
            raise StackError("not-a-mapping", f"a stack file is a mapping, not {kind_of(tree)}", at=tree.place)
        if base is None:
            return tree
        merged = merge.merge(merge.document(base), tree, (), self.errors)
        assert isinstance(merged, Mapping)
        return merged

    def _refuse_stack_keys(self, tree: Mapping) -> None:
        for key in STACK_KEYS & tree.entries.keys():
            self._wrong_dialect(key, tree.keys[key].place)
        for section in SECTIONS[1:]:
            resources = tree.get(section)
            if not isinstance(resources, Mapping):
                continue
            for resource in resources.entries.values():
                if isinstance(resource, Mapping):
                    for key, place in _own_keys(section, resource):
                        self._wrong_dialect(key, place)

    def _wrong_dialect(self, key: str, place: Place) -> None:
        hint = "rename the file to stack.yaml, or write `x-stackfile: {dialect: stack}` in it"
        self.errors.add(StackError("wrong-dialect", f"`{key}` is not a key of Compose files", at=place, hint=hint))


def _own_keys(section: str, resource: Mapping) -> Iterator[tuple[str, Place]]:
    """The keys of a resource that Compose does not have."""
    for key in (*_LOOP_KEYS, *_OWN_KEYS.get(section, ())):
        if key in resource.entries:
            yield key, resource.keys[key].place
    external = resource.get("external")
    if isinstance(external, Mapping) and "stack" in external.entries:
        yield "stack", external.keys["stack"].place
    if section == "services":
        yield from _own_service_keys(resource)


def _own_service_keys(service: Mapping) -> Iterator[tuple[str, Place]]:
    for kind in ("configs", "secrets"):
        references = service.get(kind)
        for item in references.items if isinstance(references, Sequence) else ():
            if isinstance(item, Mapping) and "on_change" in item.entries:
                yield "on_change", item.keys["on_change"].place
    environment, needed = service.get("environment"), service.get("depends_on")
    for value in environment.entries.values() if isinstance(environment, Mapping) else ():
        if isinstance(value, Mapping) and "secret" in value.entries:
            yield "secret", value.keys["secret"].place
    if isinstance(needed, Mapping):
        yield from ((key, needed.keys[key].place) for key in needed.entries if "/" in key)


def _declared_dialect(data: bytes, file: str) -> str | None:
    """The `x-stackfile: {dialect: …}` of a file. It is looked for in the text first, since few files have it."""
    if b"x-stackfile" not in data:
        return None
    tree = source.parse(data, file, ErrorCollector(), templates=False)
    extension = tree.get("x-stackfile") if isinstance(tree, Mapping) else None
    dialect = extension.get("dialect") if isinstance(extension, Mapping) else None
    if dialect is None:
        return None
    if not isinstance(dialect, Scalar) or dialect.value not in (STACK, COMPOSE):
        raise StackError("bad-value", "dialect is stack or compose", at=dialect.place)
    return str(dialect.value)


class Interpolator:
    """Phase 3: replaces `${…}` in every scalar of a tree that is no template (those do it for their literals)."""

    def __init__(self, variables: Variables, tracker: Tracker, errors: ErrorCollector) -> None:
        self.variables = variables
        self.tracker = tracker
        self.errors = errors
        # The original stays with what became of it: the identity of an object that is gone is used again.
        self._done: dict[int, tuple[Node, Node]] = {}

    def document(self, tree: Mapping, extensions: bool = False) -> Mapping:
        """The sections of a stack file that are interpolated; `extensions` (`x-…`) are in Compose files alone."""
        entries = {
            key: child if key in _LITERAL_SECTIONS or (key.startswith("x-") and not extensions) else self.node(child)
            for key, child in tree.entries.items()
        }
        return Mapping(entries, tree.keys, tree.place, tree.tag)

    def node(self, node: Node) -> Node:
        """`node` with its variables replaced; the same object where there are none. Shared nodes are done once."""
        if isinstance(node, Scalar):
            return self._scalar(node) if isinstance(node.value, str) and "$" in node.value else node
        if isinstance(node, Template):
            return node
        known = self._done.get(id(node))
        if known is None:
            known = self._done[id(node)] = node, self._container(node)
        return known[1]

    def _container(self, node: Mapping | Sequence) -> Node:
        if isinstance(node, Mapping):
            entries = {key: self.node(child) for key, child in node.entries.items()}
            if all(entries[key] is child for key, child in node.entries.items()):
                return node
            return Mapping(entries, node.keys, node.place, node.tag)
        items = [self.node(item) for item in node.items]
        if all(new is old for new, old in zip(items, node.items, strict=True)):
            return node
        return Sequence(items, node.place, node.tag)

    def _scalar(self, node: Scalar) -> Node:
        assert isinstance(node.value, str)
        self.tracker.take()
        try:
            value = interpolate(node.value, self.variables, node.place)
        except StackError as error:
            self.errors.add(error)
            return Broken(node.place)
        made = Interpolated if "$" in node.value.replace("$$", "") else Scalar
        return made(value, value, node.place, node.tag, via=self.tracker.take())


class AsWritten(Interpolator):
    """Leaves every `${…}` as it is."""

    def node(self, node: Node) -> Node:
        return node
