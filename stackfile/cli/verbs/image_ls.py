"""`image ls`: the images of the engine's store; `images` by another name."""

from __future__ import annotations

from dataclasses import replace

from stackfile.cli.arguments import Verb
from stackfile.cli.verbs import images


def register() -> Verb:
    return replace(images.register(), name="image ls")
