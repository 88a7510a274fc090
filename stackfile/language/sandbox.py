"""The Jinja environment of templates: sandboxed, strict, bounded in time and output.

Jinja is imported when the first expression needs more than a path.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jinja2 import BaseLoader, StrictUndefined, TemplateNotFound, TemplateSyntaxError, UndefinedError, meta, nodes
from jinja2.runtime import Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from stackfile.language import growth
from stackfile.language.growth import MAX_TEXT, MAX_WIDTH, limit
from stackfile.language.partials import Partials

MAX_STEPS = 1_000_000
"""Iterations of all loops of one load."""

MAX_BITS = 8192
"""Of a power."""

_WIDE_METHODS = frozenset({"ljust", "rjust", "center", "zfill", "expandtabs"})
_WIDTH_IN_FORMAT = re.compile(r"\d{6,}|\*")
_REMOVED_FILTERS = ("pprint", "random", "xmlattr", "urlize", "safe", "escape", "e", "forceescape")


class Environment(ImmutableSandboxedEnvironment):
    """Keys of maps come before their methods, so that a value may be called `items`. Data cannot be changed."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, finalize: Callable[[Any], str], partials: Partials | None = None) -> None:
        super().__init__(
            undefined=Missing,
            finalize=finalize,
            autoescape=False,
            keep_trailing_newline=True,
            loader=_Loader(partials) if partials is not None else None,
        )
        self.steps = 0
        self.globals.clear()
        self.globals.update({"range": self._range, "dict": dict})
        for name in _REMOVED_FILTERS:
            self.filters.pop(name, None)
        self.filters["tojson"] = _tojson
        self.filters["center"] = _center
        self.filters["format"] = _format
        self.filters["_bounded"] = self.bounded
        self.filters["_concat"] = _concat
        for name in ("batch", "slice", "wordwrap", "indent", "replace", "join"):
            self.filters[name] = growth.bounded(name, self.filters[name])

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        _check_format(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        _check_format(obj, argument)
        return super().getitem(obj, argument)

    def bounded(self, items: Iterable[Any]) -> Iterator[Any]:
        """Iterate, counting."""
        for item in items:
            self.steps += 1
            if self.steps > MAX_STEPS:
                raise limit(f"takes more than {MAX_STEPS} steps")
            yield item

    def _range(self, *arguments: int) -> range:
        result = range(*arguments)
        if len(result) > MAX_WIDTH:
            raise limit(f"asks for a range of more than {MAX_WIDTH}")
        return result

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """Every loop counts its steps, and macros see their arguments alone."""
        tree = super()._parse(source, name, filename)
        for macro in tree.find_all(nodes.Macro):
            self._check_macro(macro, tree, name, filename)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, "_bounded", [], [], None, None, lineno=loop.lineno)
        joined: nodes.Template = _Concatenations().visit(tree)
        return joined

    def _check_macro(self, macro: nodes.Macro, tree: nodes.Template, name: str | None, filename: str | None) -> None:
        """Names of its own file (other macros, constants, imports) it may use too. Raises Outside."""
        alone = nodes.Template([macro], lineno=macro.lineno).set_environment(self)
        try:
            free = meta.find_undeclared_variables(alone) - _own_names(tree)  # type: ignore[arg-type]
        except TemplateSyntaxError:  # such as an unknown filter: told with its place when the whole is compiled
            return
        for used in macro.find_all(nodes.Name):
            if used.name in free:
                raise Outside(f"a macro sees its arguments only: {used.name} is none", used.lineno, name, filename)

    def join_path(self, template: str, parent: str) -> str:
        """`./x` and `../x` start where the file lies that names them."""
        if not template.startswith(("./", "../")):
            return template
        return posixpath.normpath(posixpath.join(posixpath.dirname(parent), template))

    def complete(self, value: Any) -> Any:
        """A result with its generator run, counting."""
        return list(self.bounded(value)) if isinstance(value, Iterator) else value

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "*" and (_sized(left) or _sized(right)):
            length, times = (len(left), right) if _sized(left) else (len(right), left)
            if isinstance(times, int) and length * times > MAX_TEXT:
                raise limit("multiplies text beyond the limit")
        elif operator == "+" and _sized(left) and _sized(right) and len(left) + len(right) > MAX_TEXT:
            raise limit("joins text beyond the limit")
        elif operator == "**" and isinstance(left, int) and isinstance(right, int) and _too_large(left, right):
            raise limit("computes too large a number")
        elif operator == "%" and isinstance(left, str) and _WIDTH_IN_FORMAT.search(left):
            raise limit("formats text beyond the limit")
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.steps += 1
        owner, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        if isinstance(owner, str):
            if name in _WIDE_METHODS and any(isinstance(a, int) and a > MAX_WIDTH for a in (*args, *kwargs.values())):
                raise limit("pads text beyond the limit")
            if name in ("replace", "join", "translate"):
                growth.check_method(name, owner, args)
        return super().call(context, obj, *args, **kwargs)


class Missing(StrictUndefined):
    """What is not defined; its error knows what it was looked for in."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if self._undefined_exception is UndefinedError:  # and no refusal of the sandbox
            self._undefined_exception = self._error  # type: ignore[assignment]

    def _error(self, message: str) -> MissingError:
        owner = self._undefined_obj
        known = tuple(str(key) for key in owner) if isinstance(owner, Mapping) else ()
        return MissingError(message, str(self._undefined_name), known)


class MissingError(UndefinedError):
    """`name` was looked for among `known` ("" where it is no map that it was looked for in)."""

    def __init__(self, message: str, name: str, known: tuple[str, ...]) -> None:
        super().__init__(message)
        self.name = name
        self.known = known


class Outside(TemplateSyntaxError):
    """A macro uses what is none of its arguments."""


class _Loader(BaseLoader):
    """Gives Jinja the files that templates name."""

    def __init__(self, partials: Partials) -> None:
        self._partials = partials

    def get_source(self, environment: Any, template: str) -> tuple[str, str, Callable[[], bool]]:
        found = self._partials.read(template)
        if found is None:
            raise TemplateNotFound(template)
        return (*found, lambda: True)


def _own_names(tree: nodes.Template) -> set[str]:
    """What a template file defines itself."""
    found: set[str] = set()
    for node in tree.find_all((nodes.Macro, nodes.Import, nodes.FromImport, nodes.Assign, nodes.AssignBlock)):
        if isinstance(node, nodes.Macro):
            found.add(node.name)
        elif isinstance(node, nodes.Import):
            found.add(node.target)
        elif isinstance(node, nodes.FromImport):
            found.update(name if isinstance(name, str) else name[1] for name in node.names)
        else:
            target: nodes.Node = node.target  # type: ignore[attr-defined]
            names = [target, *target.find_all(nodes.Name)]
            found.update(item.name for item in names if isinstance(item, nodes.Name))
    return found


class _Concatenations(NodeTransformer):
    """`a ~ b` as a filter that looks at the sizes."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        items = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(items, "_concat", [], [], None, None, lineno=node.lineno)


def _concat(pieces: list[Any]) -> str:
    texts = [str(piece) for piece in pieces]
    if sum(map(len, texts)) > MAX_TEXT:
        raise limit("joins text beyond the limit")
    return "".join(texts)


def _check_format(text: Any, method: Any) -> None:
    """`'{:1000000000}'.format(1)` would fill the memory."""
    if isinstance(text, str) and method in ("format", "format_map") and _WIDTH_IN_FORMAT.search(text):
        raise limit("formats text beyond the limit")


def _format(value: str, *args: Any, **kwargs: Any) -> str:
    if _WIDTH_IN_FORMAT.search(value):
        raise limit("formats text beyond the limit")
    return value % (kwargs or args)


def _too_large(base: int, exponent: int) -> bool:
    return max(base.bit_length(), 1) * abs(exponent) > MAX_BITS


def _sized(value: Any) -> bool:
    return isinstance(value, str | bytes | list | tuple)


def _center(value: str, width: int = 80) -> str:
    if width > MAX_WIDTH:
        raise limit("pads text beyond the limit")
    return str(value).center(width)


def _tojson(value: Any, indent: int | None = None) -> str:
    """JSON as such: Jinja's own escapes `<`, `>`, `&` and `'` for HTML."""
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    return json.dumps(value, indent=min(indent, 16) if indent else None, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
