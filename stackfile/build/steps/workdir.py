"""`workdir`: the directory in which commands run; made where the image has none."""

from __future__ import annotations

import posixpath

from stackfile.build import layer
from stackfile.build.layer import Ground, Made
from stackfile.build.state import State
from stackfile.build.steps.base import Inputs, Workshop
from stackfile.images.archive import Member
from stackfile.images.view import MergedView, absolute
from stackfile.model.stack import Step
from stackfile.provider.engine import Progress


class WorkdirInstruction:
    kind = "workdir"
    makes_layer = True

    def text(self, step: Step) -> str:
        return step.text

    async def inputs(self, step: Step, state: State, workshop: Workshop) -> Inputs:
        return Inputs(parts={"directory": resolved(step.text, state)})

    def configure(self, step: Step, state: State) -> State:
        return state.configured(working_dir=resolved(step.text, state))

    async def make(self, step: Step, state: State, workshop: Workshop, progress: Progress) -> Made:
        return await workshop.pooled(make_directory, workshop.ground(state), resolved(step.text, state))


def resolved(text: str, state: State) -> str:
    """A path of a step: relative ones are below the working directory so far."""
    return absolute(posixpath.join(state.config.working_dir or "/", text))


def make_directory(ground: Ground, path: str) -> Made:
    """The layer that adds a directory, or no layer where it exists."""
    with MergedView(ground.lower) as view:
        return layer.of_members(ground, missing_directories(view, view.canonical(path)))


def missing_directories(view: MergedView, path: str) -> list[Member]:
    """Members for the directories on the way to `path` (canonical, and itself) that the view has not."""
    missing: list[Member] = []
    while path != "/":
        node = view.lookup(path, follow=False)
        if node is not None:
            node.close()
            break
        missing.append(Member(path=path[1:], type="dir", mode=0o755))
        path = posixpath.dirname(path)
    return missing


WORKDIR = WorkdirInstruction()
