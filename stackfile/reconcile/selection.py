"""Which resources an `up` is about: the chosen services, and what they stand on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import networkx

from stackfile.errors import UsageError


def expand(names: Sequence[str], services: Iterable[str], groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Services that `names` mean: themselves, or the members of a group; all for none, in the order given.

    Raises UsageError (`no-such-service`).
    """
    known = list(services)
    if not names:
        return known
    found: list[str] = []
    for name in names:
        if name in known:
            found.append(name)
        elif name in groups:
            found += groups[name]
        else:
            raise UsageError("no-such-service", f"no such service: {name}", hint=f"services: {', '.join(known)}")
    return list(dict.fromkeys(found))


def closure(graph: networkx.DiGraph[str], services: Iterable[str], *, no_deps: bool = False) -> set[str]:
    """Addresses of `services` and of all they need; with `no_deps` without the services among those."""
    wanted = {f"service.{name}" for name in services}
    seen: set[str] = set()
    pending = list(wanted)
    while pending:
        node = pending.pop()
        if node in seen or node not in graph:
            continue
        seen.add(node)
        pending += [
            dependency
            for dependency in graph.successors(node)
            if not (no_deps and dependency.startswith("service.") and dependency not in wanted)
        ]
    return seen
