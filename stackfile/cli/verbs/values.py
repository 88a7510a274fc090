"""`values`: what can be set of a stack, what it is now, and where that comes from."""

from __future__ import annotations

import json
from typing import Any

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.cli.output import table


def register() -> Verb:
    return Verb(
        name="values",
        summary="Show what can be set, and where each value comes from; needs no engine",
        operands="[PATH…]",
        maximum=None,
        run=run,
        text="PATH is a value as --set names it; of a map, everything below it. Without one: all values.",
    )


def run(context: Context, arguments: Arguments) -> int:
    from stackfile import api

    found = [item for item in api.settings(context.load_options()) if _wanted(item.path, arguments.positional)]
    if context.console.json:
        context.console.document([api.to_plain(item) for item in found])
        return 0
    if not found:
        context.console.say("Nothing can be set." if not arguments.positional else "No such value.")
        return 0
    header = ["VALUE", "TYPE", "IS", "FROM", "DEFAULT", "ABOUT"]
    context.console.print(table.render(header, [_row(item) for item in found]))
    return 0


def _wanted(path: str, names: list[str]) -> bool:
    return not names or any(path == name or path.startswith(f"{name}.") for name in names)


def _row(item: Any) -> list[str]:
    """A value that is its default says where that is; another one says it in DEFAULT."""
    own = item.source == "default"
    origin = item.source if item.source.startswith("--set") else f"{item.source} {item.at}" if item.source else "-"
    default = "-" if own or item.default_at is None else f"{_text(item.default)} ({item.default_at})"
    rules = ", ".join(f"{name}: {_text(rule)}" for name, rule in item.constraints.items())
    about = " ".join(part for part in (item.description, f"({rules})" if rules else "") if part)
    return [item.path, item.type, _text(item.value) if item.source else "-", origin, default, about]


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
