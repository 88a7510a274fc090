"""Routes: which handler answers a method and a path.

A module of `routes` makes a `Table` and decorates its handlers:

    table = Table(DOCKER)

    @table.get("/containers/{id}/json")
    async def inspect(call: Call) -> web.StreamResponse: ...

`{name}` is one segment, `{name*}` any number of them (image references have slashes).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import unquote

import msgspec
from aiohttp import web

from stackfile import wire
from stackfile.daemon.services import Services
from stackfile.errors import ActionError

DOCKER = ""
OURS = "/stackfile/v1"
_VERSION = re.compile(r"/v1\.[0-9]+(?=/)")
_FALSE = ("", "0", "no", "false", "none")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One request: the parts of its path, its query, its body; and what to answer it with."""

    request: web.BaseRequest
    services: Services
    path: dict[str, str]
    docker: bool

    def text(self, name: str, default: str = "") -> str:
        """A query parameter."""
        return self.request.query.get(name, default)

    def flag(self, name: str, default: bool = False) -> bool:
        """A query parameter as Docker reads booleans: `1`, `true`, `True`; empty, `0`, `no`, `false`, `none`."""
        value = self.request.query.get(name)
        return default if value is None else value.strip().lower() not in _FALSE

    def number(self, name: str, default: int | None = None) -> int | None:
        """A query parameter as a whole number. Raises ActionError (`bad-request`)."""
        value = self.request.query.get(name, "")
        if value == "":
            return default
        try:
            return int(value)
        except ValueError as error:
            raise ActionError("bad-request", f"{name} is not a number: {value!r}") from error

    def decimal(self, name: str) -> float | None:
        """A query parameter as a number with a fraction. Raises ActionError (`bad-request`)."""
        value = self.request.query.get(name, "")
        if value == "":
            return None
        try:
            return float(value)
        except ValueError as error:
            raise ActionError("bad-request", f"{name} is not a number: {value!r}") from error

    async def json(self) -> dict[str, Any]:
        """The body as a JSON object; empty without a body. Raises ActionError (`bad-request`)."""
        body = await self.request.read()
        if not body.strip():
            return {}
        try:
            value = msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            raise ActionError("bad-request", "the request's body is not JSON", cause=str(error)) from error
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise ActionError("bad-request", "the request's body is not a JSON object")
        return value

    async def read(self, kind: type[T]) -> T:
        """The body as a `kind` of the model. Raises ActionError (`bad-request`)."""
        return wire.decode(await self.request.read(), kind)


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """`stream`: ends when the client goes away; all others finish what they began, whoever listens."""

    method: str
    path: str
    handler: Handler
    stream: bool
    docker: bool
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", re.compile(_expression(self.path)))


def _expression(path: str) -> str:
    text = re.escape(path).replace(r"\{", "{").replace(r"\}", "}").replace(r"\*", "*")
    text = re.sub(r"{(\w+)\*}", r"(?P<\1>.+)", text)
    return re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", text)


class Table:
    """The routes of one resource."""

    def __init__(self, family: str) -> None:
        self._family = family
        self.routes: list[Route] = []

    def add(self, method: str, path: str, *, stream: bool = False) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            self.routes.append(Route(method, self._family + path, handler, stream, self._family == DOCKER))
            return handler

        return register

    def get(self, path: str, *, stream: bool = False) -> Callable[[Handler], Handler]:
        return self.add("GET", path, stream=stream)

    def post(self, path: str, *, stream: bool = False) -> Callable[[Handler], Handler]:
        return self.add("POST", path, stream=stream)

    def put(self, path: str) -> Callable[[Handler], Handler]:
        return self.add("PUT", path)

    def delete(self, path: str) -> Callable[[Handler], Handler]:
        return self.add("DELETE", path)


class Router:
    """Finds routes: by the whole path where it is fixed, else by pattern in the order of registration."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._fixed: dict[tuple[str, str], Route] = {}
        self._patterns: dict[str, list[Route]] = {}
        for route in routes:
            if "{" in route.path:
                self._patterns.setdefault(route.method, []).append(route)
            else:
                self._fixed[route.method, route.path] = route

    def find(self, method: str, raw_path: str) -> tuple[Route, dict[str, str]] | None:
        """The route and the parts of the path; a `/v1.N` prefix does not count."""
        path = raw_path
        if match := _VERSION.match(path):
            path = path[match.end() :]
        route = self._fixed.get((method, path))
        if route is not None:
            return route, {}
        for route in self._patterns.get(method, ()):
            if found := route.pattern.fullmatch(path):
                return route, {name: unquote(value) for name, value in found.groupdict().items()}
        return None

    def methods(self, raw_path: str) -> list[str]:
        """The methods that this path has."""
        return [method for method in ("GET", "HEAD", "POST", "PUT", "DELETE") if self.find(method, raw_path)]
