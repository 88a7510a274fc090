"""Phase 5a: `for_each`, `when`, `omit` and templates of the resources: a tree without templates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from stackfile.errors import ErrorCollector, Place, StackError
from stackfile.language.nodes import Broken, Key, Mapping, Node, Scalar, Sequence, Template, kind_of, to_plain
from stackfile.language.scalars import text_of
from stackfile.language.template import Engine, Scope
from stackfile.language.tracked import Reported, TrackedMap, Tracker
from stackfile.language.values import build
from stackfile.model.stack import Via

MAX_MEMBERS = 10_000
"""Resources of one load."""

REPLICA_KEYS = frozenset({"hostname", "environment", "command", "labels", "volumes", "ports", "cpuset"})
"""Keys of a service in which `replica` is in scope."""


@dataclass(frozen=True, slots=True)
class Member:
    """One resource after `for_each` and `when`, its templates not yet evaluated. `scope` is what they see."""

    name: str
    group: str
    tree: Mapping
    scope: dict[str, Any]
    place: Place


@dataclass(slots=True)
class Section:
    """The members of one section, and its groups."""

    members: dict[str, Member] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)
    """Names that `when` left out."""
    failed: bool = False
    """Whether a resource could not be named: what refers to it is not checked."""


class Expander:
    """Evaluates trees. Mistakes go to `errors`; what is broken becomes a Broken node."""

    def __init__(self, engine: Engine, tracker: Tracker, errors: ErrorCollector) -> None:
        self.engine = engine
        self.tracker = tracker
        self.errors = errors
        self._members = 0

    # ------------------------------------------------------------ sections

    def section(self, tree: Node | None, kind: str, scope: dict[str, Any]) -> Section:
        """The members of `services:`, `networks:`, …"""
        result = Section()
        if tree is None or (isinstance(tree, Scalar) and tree.value is None):
            return result
        if not isinstance(tree, Mapping):
            self.errors.add(StackError("not-a-mapping", f"{kind} is a mapping, not {kind_of(tree)}", at=tree.place))
            result.failed = True
            return result
        for key, node in tree.entries.items():
            try:
                self._resource(result, key, tree.keys[key], node, scope)
            except StackError as error:
                if self._members > MAX_MEMBERS:
                    raise
                self.report(error)
                result.failed = True
        return result

    def _resource(self, result: Section, key: str, mark: Key, node: Node, scope: dict[str, Any]) -> None:
        if isinstance(node, Scalar) and node.value is None:
            node = Mapping({}, {}, node.place)
        if not isinstance(node, Mapping):
            raise StackError("not-a-mapping", f"{key} is a mapping, not {kind_of(node)}", at=node.place)
        loop, condition = node.get("for_each"), node.get("when")
        tree = node.without("for_each", "when")
        if loop is None:
            name = self._key(key, mark, scope)
            if self._when(condition, scope):
                self._add(result, Member(name, "", tree, scope, mark.place))
            else:
                result.skipped.add(name)
            return
        members = result.groups.setdefault(key, [])
        for each in self._each(loop, scope):
            inner = {**scope, "each": each}
            name = self._key(key, mark, inner) if mark.template else f"{key}-{each['key']}"
            if self._when(condition, inner):
                self._add(result, Member(name, key, tree, inner, mark.place))
                members.append(name)
            else:
                result.skipped.add(name)

    def _add(self, result: Section, member: Member) -> None:
        other = result.members.get(member.name)
        if other is not None:
            message = f"there are two resources {member.name!r}"
            error = StackError("name-collision", message, at=member.place, cause=f"the other is at {other.place}")
            error.stack = (other.place,)
            self.errors.add(error)
            return
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise StackError("template-limit", f"there are more than {MAX_MEMBERS} resources", at=member.place)
        result.members[member.name] = member

    # ------------------------------------------------------------ for_each, when

    def _each(self, loop: Node, scope: Scope) -> Iterator[TrackedMap]:
        """The `each` of every member. Raises StackError (bad-type)."""
        value, steps = self._value(loop, scope)
        pairs = self._pairs(value, loop.place)
        for index, (key, item) in enumerate(pairs, 1):
            each = TrackedMap(self.tracker)
            own = value.steps.get(key, steps) if isinstance(value, TrackedMap) else steps
            each.put("key", key, own)
            each.put("value", item, own)
            each.put("index", index, own)
            yield each

    def _value(self, node: Node, scope: Scope) -> tuple[Any, tuple[Via, ...]]:
        """The data of a `for_each`, as templates see it."""
        if isinstance(node, Template):
            value = self.engine.value(node, scope)
            return value, self.tracker.take()
        steps = (Via("for_each", node.place),)
        if isinstance(node, Mapping):
            return build(node, self.engine, scope, self.tracker, "for_each"), steps
        if isinstance(node, Sequence):
            evaluated = self.tree(node, scope)
            return to_plain(evaluated) if evaluated is not None else [], steps
        return node.value, steps

    def _pairs(self, value: Any, place: Place) -> list[tuple[str, Any]]:
        if isinstance(value, dict):
            return [(str(key), value[key]) for key in value]
        if isinstance(value, str) or not hasattr(value, "__iter__"):
            raise StackError("bad-type", "for_each takes a map or a list", at=place)
        pairs: list[tuple[str, Any]] = []
        for item in value:
            if isinstance(item, dict):
                if not isinstance(item.get("name"), str):
                    raise StackError("bad-type", "a map in the list of for_each needs a `name`", at=place)
                pairs.append((item["name"], item))
            elif isinstance(item, str | int | float):
                pairs.append((text_of(item), item))
            else:
                raise StackError("bad-type", "for_each takes a list of scalars, or of maps with `name`", at=place)
        self._no_doubles(pairs, place)
        return pairs

    def _no_doubles(self, pairs: list[tuple[str, Any]], place: Place) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise StackError("name-collision", f"for_each has {key!r} twice", at=place)
            seen.add(key)

    def _when(self, condition: Node | None, scope: Scope) -> bool:
        """Whether the condition holds. Raises StackError (bad-type)."""
        if condition is None:
            return True
        value: Any = condition
        if isinstance(condition, Template):
            value = self.engine.value(condition, scope)
        elif isinstance(condition, Scalar):
            value = condition.value
        if isinstance(value, str) and value.lower() in ("true", "false"):
            value = value.lower() == "true"
        if isinstance(value, bool | int) or (value is None and isinstance(condition, Template)):
            return bool(value)
        raise StackError("bad-type", "when takes true or false", at=condition.place)

    # ------------------------------------------------------------ trees

    def tree(self, node: Node, scope: Scope) -> Node | None:
        """`node` with every template evaluated; None where it is omitted."""
        if isinstance(node, Template):
            return self._template(node, scope)
        if isinstance(node, Scalar) or not node.templated:
            return node
        if isinstance(node, Mapping):
            return self._mapping(node, scope)
        items: list[Node] = []
        for item in node.items:
            items.extend(self._item(item, scope))
        return Sequence(items, node.place, node.tag)

    def service(self, tree: Mapping, scope: dict[str, Any], replica: dict[str, int]) -> Mapping:
        """A service as one replica sees it: `replica` is in scope below the keys that may differ by it."""
        return self._mapping(tree, scope, {**scope, "replica": replica})

    def _template(self, node: Template, scope: Scope) -> Node | None:
        try:
            return self.engine.node(node, scope)
        except StackError as error:
            self.report(error)
            return Broken(node.place)

    def report(self, error: StackError) -> None:
        """Add an error, once: members of a group and replicas share their mistakes."""
        if isinstance(error, Reported):
            return
        if all((other.at, other.reason) != (error.at, error.reason) for other in self.errors.errors):
            self.errors.add(error)

    def _mapping(self, node: Mapping, scope: Scope, replica: Scope | None = None) -> Mapping:
        entries: dict[str, Node] = {}
        keys: dict[str, Key] = {}
        for key, child in node.entries.items():
            mark = node.keys[key]
            inner = replica if replica is not None and key in REPLICA_KEYS else scope
            try:
                name = self._key(key, mark, inner)
            except StackError as error:
                self.report(error)
                continue
            value = self.tree(child, inner)
            if value is None:
                continue
            if name in entries:
                self.report(StackError("duplicate-key", f"key {name!r} is there twice", at=mark.place))
                continue
            entries[name], keys[name] = value, Key(mark.place)
        return Mapping(entries, keys, node.place, node.tag)

    def _key(self, key: str, mark: Key, scope: Scope) -> str:
        if not mark.template:
            return key
        value = self.engine.value(Template(key, mark.place), scope)
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise StackError("bad-type", f"the key {key} must become text", at=mark.place)
        return str(value)

    def _item(self, item: Node, scope: Scope) -> Iterator[Node]:
        """A list item: none, one or, with `for_each`, several."""
        if not isinstance(item, Mapping) or not ({"for_each", "when"} & item.entries.keys()):
            value = self.tree(item, scope)
            return iter(() if value is None else (value,))
        return self._loop_item(item, scope)

    def _loop_item(self, item: Mapping, scope: Scope) -> Iterator[Node]:
        loop, condition = item.get("for_each"), item.get("when")
        tree = item.without("for_each", "when")
        try:
            scopes: list[Scope] = [scope]
            if loop is not None:
                scopes = [{**scope, "each": each} for each in self._each(loop, scope)]
            for inner in scopes:
                if self._when(condition, inner) and (value := self.tree(tree, inner)) is not None:
                    yield value
        except StackError as error:
            self.report(error)
