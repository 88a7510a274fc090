"""The resources of a stack as a directed graph: order, cycles, rendering.

Nodes are `<kind>.<name>` (`image.app`, `network.default`, `volume.data`, `config.c`, `secret.s`, `service.web`);
edges point from the dependent to its dependency and carry the `condition` that must hold. Pure: data in, data out.
"""

from __future__ import annotations

from stackfile.graph.build import build, find_cycle, order
from stackfile.graph.render import FORMATS, render

__all__ = ["FORMATS", "build", "find_cycle", "order", "render"]
