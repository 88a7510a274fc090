"""A plan for a person: mark, address, action, field, from → to, where the value was written; then the counts.

Marks stand beside the word always, so that nothing depends on colour.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stackfile.cli.output import addresses, units
from stackfile.cli.output.console import Console
from stackfile.model.plan import Action, Change, Plan, Summary
from stackfile.model.stack import Origin, Stack

WORDS: dict[str, tuple[str, str, str]] = {
    "create": ("+", "create", "green"),
    "build": ("+", "build", "green"),
    "pull": ("+", "pull", "green"),
    "generate": ("+", "generate", "green"),
    "update": ("~", "in place", "yellow"),
    "restart": ("*", "restart", "yellow"),
    "recreate": ("-/+", "recreate", "red"),
    "start": (">", "start", "cyan"),
    "stop": (">", "stop", "cyan"),
    "remove": ("-", "remove", "red"),
    "keep": ("=", "kept", "dim"),
}
"""Action → mark, word, colour."""

_FIELDS = {
    "resources.memory": "mem_limit",
    "resources.memory_reservation": "mem_reservation",
    "resources.memory_swap": "memswap_limit",
    "resources.nano_cpus": "cpus",
    "resources.cpu_shares": "cpu_shares",
    "resources.cpuset": "cpuset",
    "resources.pids": "pids_limit",
    "image_name": "image",
}
"""Fields of a container that a stack file calls otherwise."""

_SIZES = frozenset({"mem_limit", "mem_reservation", "memswap_limit", "shm_size", "log.max_size"})
_DURATIONS = frozenset({"interval", "timeout", "start_period", "start_interval", "stop_grace_period"})
_LONGEST = 60
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class _Line:
    mark: str
    address: str
    word: str
    style: str
    change: str
    origin: str

    def text(self, console: Console, address: int, change: int) -> str:
        head = f" {console.paint(f'{self.mark:<3}', self.style)} {self.address:<{address}} "
        rest = f"{console.paint(f'{self.word:<10}', self.style)} {self.change:<{change}}   {self.origin}"
        return (head + rest).rstrip()


def render(plan: Plan, console: Console, stack: Stack | None = None) -> str:
    """The whole plan. With `stack` it also says whether requests to published services are interrupted."""
    if not plan.summary.changes:
        return "\n".join([*_notes(plan, console), up_to_date(plan.project, stack, plan)])
    lines = list(_lines(plan))
    widest = max(len(line.address) for line in lines)
    changes = max((len(line.change) for line in lines if line.origin), default=0)
    texts = [line.text(console, max(widest, 27), changes) for line in lines]
    return "\n".join([*texts, *_notes(plan, console), footer(plan, stack)])


def up_to_date(project: str, stack: Stack | None, plan: Plan | None = None) -> str:
    """`quickstart is up to date: 10 resources, 5 containers.`"""
    if stack is None:
        unchanged = len(plan.unchanged) if plan else 0
        return f"{project} is up to date: {addresses.count(unchanged, 'resource')}."
    total, containers = sizes(stack)
    return f"{project} is up to date: {addresses.count(total, 'resource')}, {addresses.count(containers, 'container')}."


def sizes(stack: Stack) -> tuple[int, int]:
    """(resources, containers) of a stack."""
    kinds = (stack.images, stack.services, stack.networks, stack.volumes, stack.configs, stack.secrets)
    return sum(len(group) for group in kinds), sum(service.replicas for service in stack.services.values())


def footer(plan: Plan, stack: Stack | None) -> str:
    """The counts, and what becomes of requests."""
    return f"Plan: {counts(plan.summary)}." + _requests(plan, stack)


def counts(summary: Summary) -> str:
    parts = [
        f"{summary.create} create",
        f"{summary.update} in place",
        f"{summary.restart} restart",
        f"{summary.recreate} recreate",
        *([f"{summary.start} start"] if summary.start else []),
        *([f"{summary.stop} stop"] if summary.stop else []),
        f"{summary.remove} remove",
    ]
    return f"{', '.join(parts)}; {summary.unchanged} unchanged"


def value(field: str, item: Any) -> str:
    """A value for a person: sizes and durations with their unit, text quoted, nothing as (none)."""
    if item is None or (field in _SIZES and item == 0):
        return "(none)"
    last = field.rpartition(".")[2]
    if isinstance(item, int) and not isinstance(item, bool):
        if field in _SIZES:
            return units.size(item)
        if last in _DURATIONS:
            return units.duration(item)
        if field == "cpus":
            return f"{item / 1e9:g}"
    text = json.dumps(item, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _lines(plan: Plan) -> Iterator[_Line]:
    named: set[str] = set()
    for action in plan.actions:
        mark, word, style = WORDS[action.action]
        address = addresses.join(action.address, (instance.index for instance in action.instances))
        for text, origin in _texts(action):
            yield _Line(mark, address, word, style, text, place(origin, named) if origin else "")
            mark, address, word = "", "", ""
    for kept in plan.kept:
        yield _Line("=", kept.get("address", ""), "kept", "dim", kept.get("reason", ""), "")


def _texts(action: Action) -> Iterator[tuple[str, Origin | None]]:
    """The right half of an action's lines: each change, or its detail or cause where it has none."""
    if not action.changes:
        cause = action.cause
        yield action.detail or (cause.detail or cause.kind if cause else ""), cause.origin if cause else None
    for change in action.changes:
        field = field_name(change.path)
        for name, before, after in _spread(field, change.before, change.after):
            yield _change(name, before, after, change), change.cause.origin


def change_text(change: Change) -> str:
    """One change: the field, from → to."""
    return _change(field_name(change.path), change.before, change.after, change)


def _change(field: str, before: Any, after: Any, change: Change) -> str:
    if change.sensitive:
        return f"{field}  (content changed)"
    how = f" ({change.signal})" if change.signal else ""
    if change.cause.kind == "drift":
        return f"{field}  {value(field, before)} → {value(field, after)}  drift: {change.cause.detail}"
    if change.path == "/image_name":
        return f"{field}  {_named(before)} → {_named(after)}"
    if field == "image" and not change.cause.detail and _DIGEST.search(str(before)) and _DIGEST.search(str(after)):
        return f"{field}  content changed ({_named(before)} → {_named(after)})"
    if change.cause.kind == "config-content" or field == "image":
        return f"{field}  {change.cause.detail or 'content'} changed{how}"
    return f"{field}  {value(field, before)} → {value(field, after)}{how}"


def _named(image: Any) -> str:
    """An image's name or id, its digest cut short as ids are."""
    return _DIGEST.sub(lambda match: match[0][: len("sha256:") + 12], str(image))


def _spread(field: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    """Two mappings differ in some of their keys: those are what a reader wants to see."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        yield field, before, after
        return
    for key in dict.fromkeys((*before, *after)):
        if before.get(key) != after.get(key):
            yield f"{field}.{key}", before.get(key), after.get(key)


def field_name(pointer: str) -> str:
    """`environment.LOG_LEVEL` for `/environment/LOG_LEVEL`; the stack file's word where it has another."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.lstrip("/").split("/")]
    name = ".".join(parts)
    return _FIELDS.get(name, name)


def place(origin: Origin, named: set[str]) -> str:
    """`stack.yaml:48`; for a value `stack.yaml:7 (values.log_level), used at :58`, its name at the first time only."""
    used = f"{origin.at.file}:{origin.at.line}" if origin.at.line else origin.at.file
    if not origin.via:
        return used
    via = origin.via[-1]
    source = f"{via.at.file}:{via.at.line}" if via.at.line else via.at.file
    name = "" if via.name in named else f" ({via.name})"
    named.add(via.name)
    if via.at.file == origin.at.file:
        used = f":{origin.at.line}"
    return f"{source}{name}, used at {used}"


def _notes(plan: Plan, console: Console) -> list[str]:
    texts = []
    for note in plan.notes:
        where = f" ({note.origin.at})" if note.origin else ""
        subject = f"{note.address}: " if note.address else ""
        label = console.paint("warning:", "yellow") if note.severity == "warning" else "note:"
        texts.append(f"{label} {subject}{note.message}{where}")
    return texts


def _requests(plan: Plan, stack: Stack | None) -> str:
    """Whether the published services that run already are interrupted."""
    if stack is None or not any(action.action not in ("create", "build", "generate") for action in plan.actions):
        return ""
    created = {addresses.name(action.address) for action in plan.actions if action.action == "create"}
    interrupted = {
        addresses.name(action.address)
        for action in plan.actions
        if action.disruption.interrupts and addresses.kind(action.address) == "service"
    }
    published = [name for name, service in stack.services.items() if service.ports and name not in created]
    return _sentence(
        [name for name in published if name in interrupted], [name for name in published if name not in interrupted]
    )


def _sentence(interrupted: Sequence[str], whole: Sequence[str]) -> str:
    if interrupted:
        return f" Requests to {' and '.join(interrupted)} are interrupted."
    return f" No request to {' or '.join(whole)} is interrupted." if whole else ""
