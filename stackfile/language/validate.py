"""Phase 6: what can only be said of the whole: references, cycles, ports that collide."""

from __future__ import annotations

import difflib
import itertools
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from stackfile.errors import Place, StackError
from stackfile.language.normalise.context import Context, Published, Reference
from stackfile.model.stack import ImageResource, SecretRef, SecretResource, Service

NAME = re.compile(r"[a-zA-Z0-9._-]+")
PROJECT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def names(kind: str, places: Mapping[str, Place], context: Context) -> None:
    """Names of resources: letters, digits, `.`, `_`, `-`."""
    for name, place in places.items():
        if not NAME.fullmatch(name):
            context.report(StackError("bad-name", f"{name!r} is no name for a {kind}", at=place))


def references(
    wanted: Sequence[Reference],
    resources: Mapping[str, Collection[str]],
    disabled: Collection[str],
    skipped: Mapping[str, Collection[str]],
    context: Context,
) -> None:
    """Every name that a resource mentions must exist. `disabled` are services of profiles that are not enabled."""
    for reference in wanted:
        if reference.kind == "optional-service" or reference.name in resources[reference.kind]:
            continue
        context.report(_unknown(reference, resources[reference.kind], disabled, skipped.get(reference.kind, ())))


def _unknown(
    reference: Reference, known: Collection[str], disabled: Collection[str], skipped: Collection[str]
) -> StackError:
    kind, name = reference.kind, reference.name
    message = f"no {kind} {name!r} in the stack, named by {reference.owner}"
    if kind == "service" and name in disabled:
        hint = f"{name} belongs to a profile that is not enabled"
    elif name in skipped:
        hint = f"`when` leaves {name} out"
    else:
        close = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]}?" if close else f"add it to `{kind}s:`"
    return StackError("unknown-reference", message, at=reference.at, hint=hint)


def services_cycle(services: Mapping[str, Service], context: Context) -> None:
    """depends_on and network_mode must not form a cycle."""
    edges = {name: [*service.depends_on, *_shared_namespace(service)] for name, service in services.items()}
    _report_cycle("dependency-cycle", "services depend on each other", "service", edges, context)


def _shared_namespace(service: Service) -> list[str]:
    modes = (service.network_mode, service.pid_mode, service.ipc_mode)
    return [mode.removeprefix("service:") for mode in modes if mode.startswith("service:")]


def images_cycle(images: Mapping[str, ImageResource], context: Context) -> None:
    """`from` and `copy: {from: …}` must not form a cycle."""
    edges = {
        name: [
            *([image.base] if image.base_is_stack_image else []),
            *(step.from_image for step in image.steps if step.from_image),
        ]
        for name, image in images.items()
    }
    _report_cycle("image-cycle", "images are made from each other", "image", edges, context)


def secrets_cycle(secrets: Mapping[str, SecretResource], context: Context) -> None:
    edges = {
        name: [part.secret for part in secret.content or () if isinstance(part, SecretRef)]
        for name, secret in secrets.items()
    }
    _report_cycle("dependency-cycle", "secrets contain each other", "secret", edges, context)


def _report_cycle(reason: str, message: str, kind: str, edges: Mapping[str, list[str]], context: Context) -> None:
    cycle = find_cycle(edges)
    if not cycle:
        return
    places = [_edge_place(f"{kind}.{owner}", name, context) for owner, name in itertools.pairwise(cycle)]
    known = [place for place in places if place]
    text = f"{message}: {' → '.join(cycle)}"
    context.report(StackError(reason, text, at=known[0] if known else None, stack=known[1:]))


def _edge_place(owner: str, name: str, context: Context) -> Place | None:
    """Where `owner` names what comes next in the cycle."""
    for reference in context.references:
        if reference.owner == owner and reference.name == name:
            return reference.at
    origin = context.origins.get(owner)
    return origin.at if origin else None


def find_cycle(edges: Mapping[str, list[str]]) -> list[str]:
    """The names of one cycle, the first again at the end; empty where there is none. Iterative, linear."""
    finished: set[str] = set()
    for root in edges:
        path: list[str] = []
        on_path: set[str] = set()
        pending: list[Any] = [(root, iter(edges[root]))] if root not in finished else []
        if pending:
            path.append(root)
            on_path.add(root)
        while pending:
            node, children = pending[-1]
            child = next(children, None)
            if child is None:
                pending.pop()
                path.pop()
                on_path.discard(node)
                finished.add(node)
            elif child in on_path:
                return [*path[path.index(child) :], child]
            elif child in edges and child not in finished:
                pending.append((child, iter(edges[child])))
                path.append(child)
                on_path.add(child)
    return []


def container_names(services: Mapping[str, Service], context: Context) -> None:
    """A `container_name` is one container's: not of two services, nor of several replicas."""
    holders: dict[str, str] = {}
    for name, service in services.items():
        if not service.container_name:
            continue
        at = context.origins[f"service.{name}/container_name"].at
        if service.replicas > 1:
            message = f"{name} has {service.replicas} replicas and a container_name"
            context.report(StackError("replicas-conflict", message, at=at))
        other = holders.setdefault(service.container_name, name)
        if other != name:
            message = f"{other} and {name} have the same container_name"
            context.report(StackError("name-collision", message, at=at))


def mount_targets(services: Mapping[str, Service], context: Context) -> None:
    """What is mounted over another mount of its service would hide it. Volumes of one target are one already."""
    for name, service in services.items():
        targets = Counter(mount.target for mount in service.mounts)
        for target in (target for target, number in targets.items() if number > 1):
            origin = context.origins.get(f"service.{name}/tmpfs") or context.origins.get(f"service.{name}/volumes")
            message = f"{name} mounts two things at {target}"
            context.report(StackError("name-collision", message, at=origin.at if origin else None))


def port_collisions(services: Mapping[str, Service], published: Sequence[Published], context: Context) -> None:
    """One host port for two services, or for several replicas in `mode: host`."""
    taken: dict[tuple[str, int], list[Published]] = {}
    for entry in published:
        if entry.service not in services:
            continue
        holders = taken.setdefault((entry.port.protocol, entry.port.published), [])
        for other in holders:
            if other.service != entry.service and _overlap(other.port.host_ip, entry.port.host_ip):
                _collide(f"{other.service} and {entry.service}", other, entry, context)
                break
        holders.append(entry)
        if entry.port.mode == "host" and _same_port_of_replicas(services[entry.service], entry):
            _collide(f"the replicas of {entry.service} (mode: host)", entry, entry, context)


def _overlap(left: str, right: str) -> bool:
    """Whether two host addresses share a port; an empty one and 0.0.0.0 are all."""
    every = ("", "0.0.0.0", "::")
    return left == right or left in every or right in every


def _same_port_of_replicas(service: Service, entry: Published) -> bool:
    if service.replicas < 2:
        return False
    if not service.variants:
        return True
    return sum(entry.port in variant.ports for variant in service.variants) > 1


def _collide(who: str, first: Published, second: Published, context: Context) -> None:
    port = f"{second.port.published}/{second.port.protocol}"
    stack = [] if first.at == second.at else [first.at]
    cause = "" if first.at == second.at else f"the other is at {first.at}"
    context.report(
        StackError("port-collision", f"{who} publish host port {port}", at=second.at, cause=cause, stack=stack)
    )
