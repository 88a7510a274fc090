"""Values: defaults of the stack, what overrides them, and what they are in the end.

A key that the defaults do not have is an error, unless the map is a collection (all of its values are maps, or it is
empty: a member may be added) or `values_schema` allows it. Types come from the defaults.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable
from typing import Any

from stackfile.errors import ErrorCollector, Place, StackError
from stackfile.language import scalars, source
from stackfile.language.merge import RESET, clean, merge
from stackfile.language.nodes import (
    Key,
    Mapping,
    Node,
    Scalar,
    Sequence,
    Template,
    at_path,
    from_plain,
    kind_of,
    to_plain,
)
from stackfile.language.template import OMIT, Engine, Scope
from stackfile.language.timing import time_limit
from stackfile.language.tracked import Reported, TrackedMap, Tracker, plain
from stackfile.model.stack import Via

ReadFile = Callable[[str, Place], bytes]
SCHEMA_SECONDS = 0.5
"""For checking the values by their schema: its patterns may be such that they never end."""
_SEGMENT = re.compile(r"(?:\\.|[^.\\])+")


def assignment(kind: str, text: str, defaults: Mapping | None, read: ReadFile) -> Mapping:
    """The tree of one `--set` option. kind: set, set-string, set-file, set-json.

    Raises StackError (bad-value) for what is no `path=value`.
    """
    option = "--" + (kind if kind.startswith("set") else f"set-{kind}" if kind else "set")
    place = Place(f"{option} {text}")
    path, separator, value = text.partition("=")
    names = [re.sub(r"\\(.)", r"\1", name) for name in _SEGMENT.findall(path)]
    if not separator or not names:
        raise StackError("bad-value", f"{option} takes PATH=VALUE, not {text!r}", at=place)
    node = _assigned(option, value, at_path(defaults, names), place, read)
    for name in reversed(names):
        node = Mapping({name: node}, {name: Key(place)}, place)
    assert isinstance(node, Mapping)
    return node


def _assigned(option: str, value: str, default: Node | None, place: Place, read: ReadFile) -> Node:
    if option == "--set-string":
        return Scalar(value, value, place)
    if option == "--set-file":
        return Scalar(text := read(value, place).decode("utf-8", "replace"), text, place)
    if option == "--set-json":
        try:
            return from_plain(json.loads(value), place)
        except ValueError as error:
            raise StackError("bad-value", f"not JSON: {value}", at=place, cause=str(error)) from error
    if isinstance(default, Scalar) and isinstance(default.value, str):
        return Scalar(value, value, place)
    if value[:1] in ("[", "{"):
        return from_plain(to_plain(_flow(value, place)), place)
    return Scalar(scalars.resolve(value), value, place)


def _flow(value: str, place: Place) -> Node:
    try:
        tree = source.parse(value.encode(), place.file, ErrorCollector(), templates=False)
    except StackError as error:
        raise StackError("bad-value", f"not a value: {value}", at=place, cause=error.cause) from error
    assert tree is not None
    return tree


class Checker:
    """Compares what overrides values with their defaults and the schema."""

    def __init__(self, schema: Any, errors: ErrorCollector) -> None:
        self.schema = schema if isinstance(schema, dict) else None
        self.errors = errors

    def check(self, defaults: Node | None, over: Node, path: tuple[str, ...] = (), schema: Any = ...) -> None:
        """Report unknown keys (`unknown-value`) and other types (`values-invalid`) of `over`."""
        rules = self.schema if schema is ... else schema
        if isinstance(over, Mapping) and (isinstance(defaults, Mapping) or defaults is None):
            self._mapping(defaults, over, path, rules)
        elif defaults is not None and over.tag != RESET:
            self._type(defaults, over, path)

    def _mapping(self, defaults: Mapping | None, over: Mapping, path: tuple[str, ...], schema: Any) -> None:
        for key, child in over.entries.items():
            known = defaults.get(key) if defaults else None
            allowed, inner = _schema_of(schema, key)
            if known is not None:
                self.check(known, child, (*path, key), inner)
            elif not allowed and not (path and _is_collection(defaults)) and defaults is not None:
                self._unknown(defaults, over.keys[key].place, (*path, key))

    def _unknown(self, defaults: Mapping, place: Place, path: tuple[str, ...]) -> None:
        close = difflib.get_close_matches(path[-1], defaults.entries, 1)
        hint = f"did you mean {'.'.join([*path[:-1], close[0]])}?" if close else "values: must name it with a default"
        self.errors.add(StackError("unknown-value", f"no value {'.'.join(path)}", at=place, hint=hint))

    def _type(self, default: Node, over: Node, path: tuple[str, ...]) -> None:
        if isinstance(default, Template) or isinstance(over, Template):
            return
        if isinstance(default, Scalar) and default.value is None:
            return
        if not _same_type(default, over):
            message = f"values.{'.'.join(path)} is {kind_of(default)}, not {kind_of(over)}"
            error = StackError("values-invalid", message, at=over.place, cause=f"default at {default.place}")
            self.errors.add(error)

    def validate(self, values: TrackedMap, document: Mapping | None) -> None:
        """Check the values as they are in the end by `values_schema`."""
        if self.schema is None:
            return
        from jsonschema import Draft202012Validator, SchemaError
        from referencing import Registry
        from referencing.exceptions import Unresolvable

        try:
            Draft202012Validator.check_schema(self.schema)
        except SchemaError as error:
            place = document.place if document else None
            self.errors.add(
                StackError("values-invalid", "values_schema is no JSON Schema", at=place, cause=error.message)
            )
            return
        try:
            with time_limit(SCHEMA_SECONDS):
                # A registry of nothing: `$ref` to other places must not fetch them.
                problems = list(Draft202012Validator(self.schema, registry=Registry()).iter_errors(plain(values)))
        except TimeoutError as error:
            raise self._inapplicable(document, "a pattern needs too much time") from error
        except RecursionError as error:
            raise self._inapplicable(document, "it refers to itself without end") from error
        except (Unresolvable, re.error) as error:
            raise self._inapplicable(document, str(error)) from error
        for problem in problems:
            place = _place_at(document, list(problem.absolute_path))
            name = ".".join(["values", *map(str, problem.absolute_path)])
            self.errors.add(StackError("values-invalid", f"{name} is not valid", at=place, cause=problem.message))

    @staticmethod
    def _inapplicable(document: Mapping | None, cause: str) -> StackError:
        place = document.place if document else None
        return StackError("values-invalid", "values_schema cannot be applied", at=place, cause=cause)


def _schema_of(schema: Any, key: str) -> tuple[bool, Any]:
    """(whether the schema knows the key, the schema below it)."""
    if not isinstance(schema, dict):
        return False, None
    properties = schema.get("properties")
    if isinstance(properties, dict) and key in properties:
        return True, properties[key]
    for pattern, inner in (schema.get("patternProperties") or {}).items():
        if _matches(pattern, key):
            return True, inner
    additional = schema.get("additionalProperties")
    return bool(additional), additional if isinstance(additional, dict) else None


def _matches(pattern: str, key: str) -> bool:
    """Whether a pattern of the schema allows a key. What is no pattern is told when the schema is applied."""
    try:
        with time_limit(SCHEMA_SECONDS):
            return re.search(pattern, key) is not None
    except (re.error, TypeError, TimeoutError):
        return False


def _is_collection(defaults: Mapping | None) -> bool:
    return defaults is not None and all(isinstance(child, Mapping) for child in defaults.entries.values())


def _same_type(default: Node, over: Node) -> bool:
    if isinstance(default, Scalar) and isinstance(over, Scalar):
        wanted, given = type(default.value), type(over.value)
        return wanted is given or (wanted is float and given is int)
    return type(default) is type(over)


def _place_at(tree: Mapping | None, path: list[Any]) -> Place | None:
    """Place of the deepest node of a path."""
    node: Node | None = tree
    place = tree.place if tree else None
    for name in path:
        if isinstance(node, Mapping):
            node = node.get(str(name))
        elif isinstance(node, Sequence) and isinstance(name, int) and name < len(node.items):
            node = node.items[name]
        else:
            return place
        place = node.place if node is not None else place
    return place


def merged(defaults: Mapping | None, overs: list[Mapping]) -> Mapping:
    """The defaults with every override: maps merge, lists replace, `!reset` removes."""
    result: Node = defaults or Mapping({}, {}, Place(""))
    for over in overs:
        result = merge(result, over, ("values",))
    tree = clean(result)
    assert isinstance(tree, Mapping)
    return tree


def build(tree: Mapping, engine: Engine, scope: Scope, tracker: Tracker, path: str = "values") -> TrackedMap:
    """The map that templates see as `values`. Templates in it are computed at first use, in `scope`."""
    result = TrackedMap(tracker, (Via(path, tree.place),))
    for key, node in tree.entries.items():
        name = f"{path}.{key}"
        steps = (Via(name, node.place), *(node.via if isinstance(node, Scalar) else ()))
        if isinstance(node, Mapping):
            result.put(key, build(node, engine, scope, tracker, name), steps)
        elif isinstance(node, Scalar):
            result.put(key, node.value, steps)
        else:
            result.put_pending(key, _pending(node, engine, scope, tracker, name), steps)
    return result


def _pending(
    node: Template | Sequence, engine: Engine, scope: Scope, tracker: Tracker, name: str
) -> Callable[[], tuple[Any, tuple[Via, ...]]]:
    def compute() -> tuple[Any, tuple[Via, ...]]:
        if isinstance(node, Template):
            value = engine.value(node, scope)
            if value is OMIT:
                raise StackError("template-not-scalar", "`omit` cannot be a value", at=node.place)
            return value, tracker.take()
        return _sequence(node, engine, scope, tracker, name), ()

    return compute


def _sequence(node: Sequence, engine: Engine, scope: Scope, tracker: Tracker, name: str) -> list[Any]:
    result: list[Any] = []
    for index, item in enumerate(node.items):
        if isinstance(item, Template):
            result.append(engine.value(item, scope))
        elif isinstance(item, Mapping):
            result.append(build(item, engine, scope, tracker, f"{name}[{index}]"))
        elif isinstance(item, Sequence):
            result.append(_sequence(item, engine, scope, tracker, f"{name}[{index}]"))
        else:
            result.append(item.value)
    return [item for item in result if item is not OMIT]


def resolve_all(values: TrackedMap, errors: ErrorCollector) -> None:
    """Compute what is still pending. What fails is reported once and stays null."""
    for key in list(values):
        try:
            values.resolve(key)
        except StackError as error:
            if not isinstance(error, Reported) and all(other.at != error.at for other in errors.errors):
                errors.add(error)
            if error.reason == "template-limit":
                errors.check()  # the others would ask for as much
            values.give_up(key)
        value = dict.__getitem__(values, key)
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, TrackedMap):
                resolve_all(inner, errors)
