"""Phase 2: evaluating templates.

A scalar that is exactly one `{{ … }}` keeps the type of its result; any other gives text. `$` is interpolated in
literals only, and a result is never scanned again.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from stackfile.errors import Place, StackError
from stackfile.language import expression
from stackfile.language.interpolate import Unclosed, interpolate
from stackfile.language.nodes import Key, Node, Scalar, Sequence, Template
from stackfile.language.nodes import Mapping as MappingNode
from stackfile.language.scalars import text_of
from stackfile.language.tracked import TrackedMap, Tracker
from stackfile.language.variables import Variables
from stackfile.model.stack import Via

if TYPE_CHECKING:
    from stackfile.language.partials import Partials
    from stackfile.language.sandbox import Environment

Scope = Mapping[str, Any]
MAX_TOTAL = 16 << 20
"""Characters of all results of one load."""

NODE_WEIGHT = 16
"""Characters that a value counts as, beyond its text."""

SCOPE_HINTS = {
    "each": "`each` exists where `for_each` stands",
    "replica": "`replica` exists in hostname, environment, command, labels, volumes, ports, cpuset and config content "
    "of a service",
    "secrets": "`secrets` can be used only in the content of another secret",
    "item": "the item of a `for_each` is `each.key` and `each.value`",
}


class Omit:
    """The value of `omit`: removes the key or item."""

    def __repr__(self) -> str:
        return "omit"


OMIT = Omit()


class SecretMark:
    """The value of `secrets.x`: a mark in the text, taken out again when the content is put together."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return f"\ue000{self.name}\ue001"


class Engine:
    """Evaluates the templates of one load."""

    def __init__(self, variables: Variables, tracker: Tracker, partials: Partials | None = None) -> None:
        self.variables = variables
        self.tracker = tracker
        self.partials = partials
        """What templates may include; None for nothing."""
        self._environment: Environment | None = None
        self._expressions: dict[str, Callable[[Scope], Any]] = {}
        self._texts: dict[tuple[str, bool], Any] = {}
        self._produced = 0

    def node(self, template: Template, scope: Scope) -> Node | None:
        """The value of a template as a node; None for `omit`. Raises StackError with the place of the expression."""
        value = self.value(template, scope)
        if value is OMIT:
            return None
        steps = self.tracker.take()
        if self._environment is None:
            return self.to_node(value, template.place, steps)
        # Inside the guard, since a generator of the template runs only here.
        node: Node = self._guarded(lambda: self.to_node(value, template.place, steps), template.place)
        return node

    def scalar(self, node: Node, scope: Scope) -> Node | None:
        """`node` itself, or its value where it is a template."""
        return self.node(node, scope) if isinstance(node, Template) else node

    def value(self, template: Template, scope: Scope) -> Any:
        """The value as data. What it came through is left in the tracker."""
        self.tracker.take()
        try:
            return self._value(template, scope)
        except expression.Unfinished as error:
            raise StackError("template-syntax", "`{{` without `}}`", at=template.locate(error.index)) from error
        except RecursionError as error:
            raise StackError("template-limit", "the template recurses too deep", at=template.place) from error

    def _value(self, template: Template, scope: Scope) -> Any:
        parts = expression.split(template.text)
        if parts is None:
            return self._bounded(self._whole(template, scope), template)
        if len(parts) == 1 and isinstance(only := parts[0], expression.Expression):
            return self._evaluate(only, template, scope)
        pieces = [self._piece(part, parts[number + 1 :], template, scope) for number, part in enumerate(parts)]
        return self._bounded("".join(pieces), template)

    def _piece(self, part: Any, rest: list[Any], template: Template, scope: Scope) -> str:
        if isinstance(part, expression.Literal):
            return (
                self.literal(part.text, template.locate(part.index), bool(rest)) if template.interpolated else part.text
            )
        try:
            return finalize(self._evaluate(part, template, scope))
        except StackError as error:
            raise error if error.at else _placed(error, template.locate(part.index)) from None

    def literal(self, text: str, place: Place, followed: bool = False) -> str:
        """A literal with `${…}` replaced. `followed` says that an expression comes behind it."""
        try:
            return interpolate(text, self.variables, place)
        except Unclosed as error:
            if not followed:
                raise
            raise StackError(
                "template-in-interpolation",
                "a template cannot stand inside `${…}`",
                at=place,
                hint="write {{ env.NAME | default(…) }}",
            ) from error

    def _bounded(self, text: str, template: Template) -> str:
        self._produced += len(text)
        if self._produced > MAX_TOTAL:
            raise StackError("template-limit", f"templates give more than {MAX_TOTAL} characters", at=template.place)
        return text

    def _evaluate(self, part: expression.Expression, template: Template, scope: Scope) -> Any:
        place = template.locate(part.index)
        if expression.is_path(part.text):
            try:
                known, value = expression.follow(part.text, scope)
            except expression.Undefined as error:
                raise undefined(error.path, error.known, place) from error
            if known:
                return value
        return self._jinja(part.text, place, scope)

    def _jinja(self, text: str, place: Place, scope: Scope) -> Any:
        from jinja2.runtime import Undefined

        compiled = self._expressions.get(text)
        if compiled is None:
            compiled = self._expressions[text] = self._compile(text, place)
        value = self._guarded(lambda: self.environment.complete(compiled(scope)), place)
        if isinstance(value, Undefined):
            raise _undefined_value(value, place)
        return value

    def _compile(self, text: str, place: Place) -> Callable[[Scope], Any]:
        from jinja2 import TemplateSyntaxError

        try:
            compiled = self.environment.compile_expression(text, undefined_to_none=False)
        except TemplateSyntaxError as error:
            hint = (
                "Go's template syntax is not read here: {{ '{{.Name}}' }} gives it as text" if text[:1] == "." else ""
            )
            raise StackError(
                "template-syntax", f"not an expression: {text}", at=place, cause=error.message or "", hint=hint
            ) from error
        return lambda scope: compiled(**scope)

    def _whole(self, template: Template, scope: Scope) -> str:
        """A template with statements, as text."""
        text: str = self._guarded(lambda: self._render(self._compiled(template), scope), template.locate(0), template)
        return text

    def _compiled(self, template: Template) -> Any:
        key = (template.text, template.interpolated)
        compiled = self._texts.get(key)
        if compiled is None:
            source = "".join(self._literals_done(template)) if template.interpolated else template.text
            compiled = self._texts[key] = self.environment.from_string(source)
        return compiled

    def _render(self, compiled: Any, scope: Scope) -> str:
        from stackfile.language.growth import MAX_TEXT, limit

        pieces: list[str] = []
        total = 0
        for piece in compiled.generate(**scope):
            pieces.append(piece)
            total += len(piece)
            if total > MAX_TEXT:
                raise limit(f"gives more than {MAX_TEXT} characters")
        return "".join(pieces)

    def _literals_done(self, template: Template) -> Iterator[str]:
        """The source with `$` interpolated in literals. What comes in becomes a string constant, so that it is not
        read as template syntax; line numbers stay."""
        tokens = list(self.environment.lex(template.text))
        for number, (_, kind, text) in enumerate(tokens):
            if kind in ("raw_begin", "raw_end"):
                continue
            raw = number and tokens[number - 1][1] == "raw_begin"
            if kind != "data" or ("$" not in text and not raw):
                yield text
                continue
            followed = number + 1 < len(tokens) and tokens[number + 1][1] == "variable_begin"
            value = self.literal(text, template.place, followed)
            yield "{{ " + ascii(value) + "\n" * text.count("\n") + " }}"

    def _guarded(self, call: Callable[[], Any], place: Place, template: Template | None = None) -> Any:
        """Run template code; whatever it raises becomes a StackError with a place: in the file of a macro or an
        included template, with the places that led there; else in `template`, by line; else at `place`.
        """
        try:
            return call()
        except Exception as error:  # anything: the template called it
            from stackfile.language import failures

            made = failures.translated(error)
            if made.at is None:
                steps = failures.steps(error, lambda line: place if template is None else _line_place(template, line))
                made.at, made.stack = (steps[0], (*made.stack, *steps[1:])) if steps else (place, made.stack)
            if made is error:
                raise
            raise made from error

    @property
    def environment(self) -> Environment:
        """The Jinja environment, made at first use."""
        if self._environment is None:
            from stackfile.language.sandbox import Environment

            self._environment = Environment(finalize, self.partials)
        return self._environment

    def to_node(self, value: Any, place: Place, via: tuple[Via, ...]) -> Node:
        """Data as nodes at the template's place; each value of a map keeps its own steps."""
        self._produced += NODE_WEIGHT
        if self._produced > MAX_TOTAL:
            raise StackError("template-limit", "templates give too much data", at=place)
        if isinstance(value, dict):
            return self._mapping_node(value, place, via)
        if isinstance(value, str):
            return Scalar(str(value), str(value), place, via=via)
        if value is None or isinstance(value, bool | int | float):
            return Scalar(value, text_of(value), place, via=via)
        if isinstance(value, SecretMark):
            return Scalar(str(value), str(value), place, via=via)
        if isinstance(value, Iterator | list | tuple | range) or hasattr(value, "__iter__"):
            items = [self.to_node(item, place, via) for item in value if item is not OMIT]
            return Sequence(items, place)
        raise StackError("bad-type", f"the template gives a {type(value).__name__}", at=place)

    def _mapping_node(self, value: dict[Any, Any], place: Place, via: tuple[Via, ...]) -> MappingNode:
        steps = value.steps if isinstance(value, TrackedMap) else {}
        entries = {
            str(key): self.to_node(child, place, steps.get(key, via))
            for key, child in value.items()
            if child is not OMIT
        }
        return MappingNode(entries, {key: Key(place) for key in entries}, place)


def finalize(value: Any) -> str:
    """A result inside text. Raises StackError (template-not-scalar) without a place."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return text_of(value)
    if isinstance(value, SecretMark):
        return str(value)
    if value is OMIT:
        raise StackError("template-not-scalar", "`omit` must be the whole value")
    if value is None or isinstance(value, dict | list | tuple):
        kind = "null" if value is None else "a map" if isinstance(value, dict) else "a list"
        hint = "use `| default('')`" if value is None else "use `| tojson`"
        raise StackError("template-not-scalar", f"{kind} cannot stand inside text", hint=hint)
    return str(value)


def undefined(path: str, known: tuple[str, ...], place: Place | None) -> StackError:
    """The error for a path that leads nowhere."""
    name = path.rpartition(".")[2]
    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]}?" if close else SCOPE_HINTS.get(path, "")
    return StackError("template-undefined", f"{path} is not defined", at=place, hint=hint)


def _undefined_value(value: Any, place: Place) -> StackError:
    name = value._undefined_name
    known = tuple(str(key) for key in value._undefined_obj) if isinstance(value._undefined_obj, Mapping) else ()
    if isinstance(name, str) and known:
        return undefined(name, known, place)
    return StackError("template-undefined", value._undefined_message, at=place, hint=SCOPE_HINTS.get(str(name), ""))


def _placed(error: StackError, place: Place) -> StackError:
    return StackError(error.reason, error.message, at=place, cause=error.cause, hint=error.hint, stack=error.stack)


def _line_place(template: Template, line: int) -> Place:
    index = 0
    for _ in range(line - 1):
        index = template.text.find("\n", index) + 1
    return template.locate(index)
