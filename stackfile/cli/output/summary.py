"""The last line of a job: what it did, in one sentence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stackfile.cli.output import addresses
from stackfile.cli.output import plan as plans
from stackfile.cli.output.addresses import count
from stackfile.cli.output.rows import Row
from stackfile.model.stack import Stack

_DONE = (
    ("update", "updated in place"),
    ("restart", "restarted"),
    ("recreate", "recreated"),
    ("start", "started"),
    ("stop", "stopped"),
    ("remove", "removed"),
)
_NOUNS = {"service": "container"}


def header(stack: Stack) -> str:
    """`quickstart · environment dev · stack.yaml · embedded engine`."""
    environment = f"environment {stack.environment}" if stack.environment else ""
    files = ", ".join(path.rpartition("/")[2] for path in stack.files)
    return " · ".join(part for part in (stack.name, environment, files, "embedded engine") if part)


def up(stack: Stack, plan: dict[str, Any], seconds: float) -> str:
    """`Up: 5 containers, 10 resources created in 1.9 s.`"""
    summary = plan.get("summary") or {}
    parts = []
    if created := summary.get("create", 0):
        only = not summary.get("unchanged") and not any(summary.get(name) for name, _ in _DONE)
        total = plans.sizes(stack)[0] if only and not _selected(plan) else created
        parts.append(f"{count(total, 'resource')} created")
    parts += [f"{summary[name]} {word}" for name, word in _DONE if summary.get(name)]
    if summary.get("unchanged"):
        parts.append(f"{summary['unchanged']} unchanged")
    return f"Up: {', '.join([count(_containers(stack, plan), 'container'), *parts])} in {seconds:.1f} s."


def down(rows: Iterable[Row], kept: Iterable[str]) -> str:
    """`Down: 5 containers and 1 network removed; volume data and secret store_token kept.`"""
    numbers: dict[str, int] = {}
    for row in rows:
        if row.status == "done":
            kind = addresses.kind(row.base)
            noun = _NOUNS.get(kind, kind)
            numbers[noun] = numbers.get(noun, 0) + max(1, len(row.indices))
    removed = _and([count(number, noun) for noun, number in numbers.items()]) or "nothing"
    stays = _and([address.replace(".", " ", 1) for address in kept])
    return f"Down: {removed} removed" + (f"; {stays} kept." if stays else ".")


def _containers(stack: Stack, plan: dict[str, Any]) -> int:
    """Containers of the services that the plan is about, those that stay as they are included."""
    named = [action["address"] for action in plan.get("actions", ()) if action["action"] != "remove"]
    bases = {addresses.split(address)[0] for address in (*named, *plan.get("unchanged", ()))}
    services = [stack.services.get(addresses.name(base)) for base in bases if addresses.kind(base) == "service"]
    return sum(service.replicas for service in services if service is not None)


def _selected(plan: dict[str, Any]) -> bool:
    return bool((plan.get("options") or {}).get("services"))


def _and(parts: list[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)
