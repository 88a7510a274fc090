"""`host`: programs and paths of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from stackfile import digest as digests
from stackfile.build import layer
from stackfile.build.host import place
from stackfile.build.host.tree import HostTree, line_of
from stackfile.build.layer import Ground, Made
from stackfile.build.state import State
from stackfile.build.steps.base import Inputs, Workshop
from stackfile.images.view import MergedView
from stackfile.model.stack import Step
from stackfile.provider.engine import Progress


class HostInstruction:
    kind = "host"
    makes_layer = True

    def text(self, step: Step) -> str:
        return " ".join((*step.programs, *step.paths, *step.packages, *step.users))

    async def inputs(self, step: Step, state: State, workshop: Workshop) -> Inputs:
        tree = await workshop.host_tree(step)
        parts = {"programs": "\0".join(step.programs), "paths": "\0".join(step.paths)}
        named = {"packages": step.packages, "users": step.users, "exclude": step.exclude}
        parts |= {name: "\0".join(values) for name, values in named.items() if values}
        return Inputs(parts=parts, content=tree.digest, files=lambda: _files(tree))

    def configure(self, step: Step, state: State) -> State:
        return state

    async def make(self, step: Step, state: State, workshop: Workshop, progress: Progress) -> Made:
        tree = await workshop.host_tree(step)
        progress(f"{len(tree.files)} files of this machine")
        return await workshop.pooled(make_host_layer, workshop.ground(state), tree)


def make_host_layer(ground: Ground, tree: HostTree) -> Made:
    """The layer that brings a host tree."""
    with MergedView(ground.lower) as view:
        made = layer.of_members(ground, place.members(tree, view))
    return replace(made, programs=tree.programs)


def _files(tree: HostTree) -> Mapping[str, str]:
    return {
        f"host file {file.path}": digests.sha256(line_of(file).encode("utf-8", "surrogateescape"))[7:23]
        for file in tree.files
    }


HOST = HostInstruction()
