"""Building the graph of a stack, its order and its cycles."""

from __future__ import annotations

from collections.abc import Iterator

import networkx

from stackfile.errors import Place, StackError
from stackfile.model.stack import ImageResource, SecretRef, SecretResource, Service, Stack

STARTED = "service_started"


def build(stack: Stack) -> networkx.DiGraph[str]:
    """The resource graph of `stack`.

    Every node has `kind` and `name`; an edge dependent → dependency has `condition`: that of `depends_on` between
    services, `exists` for networks, volumes, configs and secrets, `built` for images. Edges to what the stack does not
    hold (external images) are left out.
    """
    graph: networkx.DiGraph[str] = networkx.DiGraph(stack=stack.name)
    for kind, names in _resources(stack):
        graph.add_nodes_from((f"{kind}.{name}", {"kind": kind, "name": name}) for name in names)
    for dependent, dependency, condition in _edges(stack):
        if dependency in graph:
            graph.add_edge(dependent, dependency, condition=condition)
    graph.graph["places"] = _places(stack)
    return graph


def _resources(stack: Stack) -> Iterator[tuple[str, list[str]]]:
    yield "image", list(stack.images)
    yield "network", list(stack.networks)
    yield "volume", list(stack.volumes)
    yield "config", list(stack.configs)
    yield "secret", list(stack.secrets)
    yield "service", list(stack.services)


def _edges(stack: Stack) -> Iterator[tuple[str, str, str]]:
    for image in stack.images.values():
        yield from _image_edges(image)
    for secret in stack.secrets.values():
        yield from _secret_edges(secret)
    for service in stack.services.values():
        yield from _service_edges(service)


def _image_edges(image: ImageResource) -> Iterator[tuple[str, str, str]]:
    if image.base_is_stack_image:
        yield f"image.{image.name}", f"image.{image.base}", "built"
    for step in image.steps:
        if step.from_image:
            yield f"image.{image.name}", f"image.{step.from_image}", "built"
    for name in image.build.images if image.build is not None else ():
        yield f"image.{image.name}", f"image.{name}", "built"


def _secret_edges(secret: SecretResource) -> Iterator[tuple[str, str, str]]:
    for part in secret.content or ():
        if isinstance(part, SecretRef):
            yield f"secret.{secret.name}", f"secret.{part.secret}", "exists"


def _service_edges(service: Service) -> Iterator[tuple[str, str, str]]:
    me = f"service.{service.name}"
    if service.image_is_stack_image:
        yield me, f"image.{service.image}", "built"
    for variant in (service, *service.variants):
        for mount in variant.mounts:
            if mount.type == "volume" and mount.source:
                yield me, f"volume.{mount.source}", "exists"
        for file in variant.files:
            yield me, f"{file.kind}.{file.source}", "exists"
        for value in variant.environment.values():
            if isinstance(value, SecretRef):
                yield me, f"secret.{value.secret}", "exists"
    for attachment in service.networks:
        yield me, f"network.{attachment.network}", "exists"
    mode, _, target = service.network_mode.partition(":")
    if mode == "service":
        yield me, f"service.{target}", STARTED
    for name, dependency in service.depends_on.items():
        yield me, f"service.{name}", dependency.condition


def _places(stack: Stack) -> dict[str, Place]:
    """Where each resource was written, as far as the stack remembers."""
    return {key: origin.at for key, origin in stack.origins.items() if "/" not in key}


def find_cycle(graph: networkx.DiGraph[str]) -> list[str]:
    """The nodes of one cycle in dependency order, each once; empty where there is none."""
    try:
        return [edge[0] for edge in networkx.find_cycle(graph)]
    except networkx.NetworkXNoCycle:
        return []


def order(graph: networkx.DiGraph[str]) -> list[str]:
    """Nodes so that each comes after what it depends on; ties in the order of the file, so the result is stable.

    Raises StackError (`image-cycle` among images, else `dependency-cycle`) with the places of the cycle as `stack`.
    """
    position = {node: index for index, node in enumerate(graph)}
    try:
        return list(networkx.lexicographical_topological_sort(graph.reverse(copy=False), key=position.__getitem__))
    except networkx.NetworkXUnfeasible as error:
        raise _cycle_error(graph) from error


def _cycle_error(graph: networkx.DiGraph[str]) -> StackError:
    cycle = find_cycle(graph)
    places = [place for node in cycle if (place := graph.graph["places"].get(node))]
    reason = "image-cycle" if all(node.startswith("image.") for node in cycle) else "dependency-cycle"
    names = " → ".join([*cycle, cycle[0]])
    return StackError(reason, f"dependencies form a cycle: {names}", at=places[0] if places else None, stack=places[1:])
