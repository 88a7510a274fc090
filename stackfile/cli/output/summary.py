"""The last line of a job: what it did, in one sentence."""

from __future__ import annotations

from typing import Any

from stackfile.cli.output.addresses import count
from stackfile.model.stack import Stack

_DONE = (
    ("update", "updated in place"),
    ("restart", "restarted"),
    ("recreate", "recreated"),
    ("start", "started"),
    ("stop", "stopped"),
    ("remove", "removed"),
)


def header(stack: Stack) -> str:
    """`quickstart · environment dev · stack.yaml · embedded engine`."""
    environment = f"environment {stack.environment}" if stack.environment else ""
    files = ", ".join(path.rpartition("/")[2] for path in stack.files)
    return " · ".join(part for part in (stack.name, environment, files, "embedded engine") if part)


def up(project: str, result: dict[str, Any], seconds: float) -> str:
    """`Up: 5 containers, 10 resources created in 1.9 s. Logs: stackfile logs -f`; one line too when all was there."""
    counts = result.get("counts") or {}
    containers = count(int(result.get("containers", 0)), "container")
    resources = int(result.get("resources", 0))
    changed = any(number for name, number in counts.items() if name != "unchanged")
    if not changed:
        return f"{project} is up to date: {count(resources, 'resource')}, {containers}."
    parts = [containers]
    if created := counts.get("create", 0):
        parts.append(f"{count(created, 'resource')} created")
    parts += [f"{counts[name]} {word}" for name, word in _DONE if counts.get(name)]
    if counts.get("unchanged"):
        parts.append(f"{counts['unchanged']} unchanged")
    return f"Up: {', '.join(parts)} in {seconds:.1f} s. Logs: stackfile logs -f"


def down(result: dict[str, Any]) -> str:
    """`Down: 5 containers and 1 network removed; volume data and secret store_token kept.`"""
    nouns = ("container", "network", "volume", "secret", "config", "image")
    numbers = {noun: int(result.get(f"{noun}s", 0)) for noun in nouns}
    removed = _and([count(number, noun) for noun, number in numbers.items() if number])
    kept = _and([address.replace(".", " ", 1) for address in result.get("kept") or ()])
    return f"Down: {removed + ' removed' if removed else 'nothing to remove'}" + (f"; {kept} kept." if kept else ".")


def _and(parts: list[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)
