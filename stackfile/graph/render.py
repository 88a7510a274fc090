"""Rendering of a graph: text (a tree), Graphviz dot, Mermaid."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import networkx

SHAPES = {
    "service": "box",
    "image": "component",
    "network": "hexagon",
    "volume": "cylinder",
    "config": "note",
    "secret": "note",
}

MERMAID_BRACKETS = {
    "service": ("[", "]"),
    "image": ("[[", "]]"),
    "network": ("{{", "}}"),
    "volume": ("[(", ")]"),
    "config": (">", "]"),
    "secret": (">", "]"),
}

PLAIN_CONDITIONS = {"exists", "built", "service_started"}
"""Conditions that go without saying."""


def render(graph: networkx.DiGraph[str], format: str = "text") -> str:  # noqa: A002 (the name of the option)
    """`graph` as text, ending in a newline. `format` is one of FORMATS."""
    return FORMATS[format](graph)


def _label(graph: networkx.DiGraph[str], source: str, target: str) -> str:
    """The condition of an edge, where it says more than `is there`."""
    condition: str = graph.edges[source, target]["condition"]
    return "" if condition in PLAIN_CONDITIONS else condition.removeprefix("service_")


def _text(graph: networkx.DiGraph[str]) -> str:
    """A tree below each node that nothing depends on. A subtree is drawn once; later `…` refers to it."""
    lines: list[str] = []
    drawn: set[str] = set()
    for root in [node for node in graph if not graph.in_degree(node)] or list(graph)[:1]:
        lines.append(root)
        drawn.add(root)
        lines.extend(_branches(graph, root, drawn))
    return "\n".join(lines) + "\n" if lines else ""


def _branches(graph: networkx.DiGraph[str], root: str, drawn: set[str]) -> Iterator[str]:
    """The lines below a root, depth first; iterative, since a chain of services may be long."""
    pending = _children(graph, root, "")
    while pending:
        parent, node, indent, last = pending.pop()
        label = _label(graph, parent, node)
        again = node in drawn and graph.out_degree(node) > 0
        suffix = (f" ({label})" if label else "") + (" …" if again else "")
        yield f"{indent}{'└── ' if last else '├── '}{node}{suffix}"
        if not again:
            drawn.add(node)
            pending += _children(graph, node, indent + ("    " if last else "│   "))


def _children(graph: networkx.DiGraph[str], node: str, indent: str) -> list[tuple[str, str, str, bool]]:
    """(parent, child, indent, whether it is the last) of what a node depends on, the last first."""
    children = list(graph.successors(node))[::-1]
    return [(node, child, indent, number == 0) for number, child in enumerate(children)]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _dot(graph: networkx.DiGraph[str]) -> str:
    lines = [f"digraph {_quoted(graph.graph.get('stack', ''))} {{", "  rankdir=LR;"]
    for node, data in graph.nodes(data=True):
        lines.append(f"  {_quoted(node)} [shape={SHAPES[data['kind']]}];")
    for source, target in graph.edges:
        label = _label(graph, source, target)
        attributes = f" [label={_quoted(label)}]" if label else ""
        lines.append(f"  {_quoted(source)} -> {_quoted(target)}{attributes};")
    return "\n".join([*lines, "}"]) + "\n"


def _mermaid(graph: networkx.DiGraph[str]) -> str:
    """Ids are numbered, since Mermaid gives some words (`end`, `default`) a meaning."""
    ids = {node: f"n{number}" for number, node in enumerate(graph)}
    lines = ["graph LR"]
    for node, data in graph.nodes(data=True):
        opening, closing = MERMAID_BRACKETS[data["kind"]]
        lines.append(f"  {ids[node]}{opening}{_quoted(re.sub(chr(34), '#quot;', node))}{closing}")
    for source, target in graph.edges:
        label = _label(graph, source, target)
        arrow = f"-->|{label}|" if label else "-->"
        lines.append(f"  {ids[source]} {arrow} {ids[target]}")
    return "\n".join(lines) + "\n"


FORMATS: dict[str, Callable[[networkx.DiGraph[str]], str]] = {"text": _text, "dot": _dot, "mermaid": _mermaid}
