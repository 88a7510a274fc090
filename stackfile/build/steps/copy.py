"""`copy` and `add`: files of a build context or of another image."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, replace

from stackfile.build import copying, downloads, layer, owners, sources
from stackfile.build.copying import Target
from stackfile.build.layer import Ground, Made
from stackfile.build.sources import ContextSources, ImageSources
from stackfile.build.state import State
from stackfile.build.steps.base import Inputs, Workshop
from stackfile.errors import ActionError
from stackfile.images.view import MergedView
from stackfile.model.image import ContextManifest
from stackfile.model.stack import Step
from stackfile.provider.engine import Progress


@dataclass(frozen=True, slots=True)
class CopyInstruction:
    """`unpacks`: local tar archives are unpacked into the target."""

    kind: str
    unpacks: bool
    makes_layer: bool = True

    def text(self, step: Step) -> str:
        origin = f"from {step.from_image} " if step.from_image else ""
        return f"{origin}{' '.join(step.source)} {step.target}"

    async def inputs(self, step: Step, state: State, workshop: Workshop) -> Inputs:
        parts = {
            "source": "\0".join(step.source),
            "target": posixpath.join(state.config.working_dir or "/", step.target),
            "chown": step.chown,
            "chmod": step.chmod,
        }
        if step.whole:
            parts |= {f"text {name}": text for name, text in step.inline.items()}
            parts["checksum"] = step.checksum
        if step.from_image:
            top = next(iter(workshop.layers_of(step.from_image)), "")
            return Inputs(parts=parts, content=top, files=lambda: {f"image {step.from_image}": top})
        if not step.context:
            raise ActionError("build-failed", f"{self.kind} {self.text(step)}: its files were not sent",
                              hint="a context is read where the Dockerfile itself copies from it" if step.whole
                              else "the client that loads the stack sends them")  # fmt: skip
        if step.whole:
            content, part = workshop.contexts.part(step.context, _local(step))
            return Inputs(parts=parts, content=content, files=lambda: _entries(part))
        return Inputs(parts=parts, content=step.context, files=lambda: _files(step, workshop))

    def configure(self, step: Step, state: State) -> State:
        return state

    async def make(self, step: Step, state: State, workshop: Workshop, progress: Progress) -> Made:
        return await workshop.pooled(
            make_copy_layer,
            workshop.ground(state),
            self._found(step, workshop),
            replace(step, target=posixpath.join(state.config.working_dir or "/", step.target)),
            self.unpacks and not step.from_image,
        )

    def _found(self, step: Step, workshop: Workshop) -> ContextSources | ImageSources:
        if step.from_image:
            chain = workshop.layers_of(step.from_image)
            owners = step.whole and not step.chown
            return ImageSources(tuple(workshop.images.layers.path(item) for item in chain), owners)
        contexts = workshop.contexts
        manifest = contexts.part(step.context, _local(step))[1] if step.whole else contexts.get(step.context)
        missing = contexts.lacking(manifest)
        if missing:
            raise ActionError("build-failed", f"{self.kind} {self.text(step)}: {len(missing)} files were not sent")
        return ContextSources(manifest, workshop.images.blobs.root, tuple(step.inline.items()))


def make_copy_layer(ground: Ground, found: ContextSources | ImageSources, step: Step, unpack: bool) -> Made:
    """The layer that copies what a step names."""
    with MergedView(ground.lower) as view, sources.opened(found) as origin:
        path, directory = copying.target_of(step.target, "/")
        target = Target(
            path=path,
            directory=directory,
            owner=owners.resolve(step.chown, view),
            mode=_mode(step.chmod),
            keep_owner=isinstance(found, ImageSources) and found.owners,
        )
        remote = [source for source in step.source if unpack and downloads.is_url(source)]
        if remote:
            with downloads.fetched(remote, step.checksum, ground.root) as fetched:
                chosen = [*origin.choose(_local(step)), *fetched] if _local(step) else fetched
                return layer.of_members(ground, copying.members(chosen, target, view))
        chosen = origin.choose(step.source)
        if not unpack:
            return layer.of_members(ground, copying.members(chosen, target, view))
        with sources.unpacked(chosen, ground.root) as (plain, archives):
            members = copying.members(plain, target, view) if plain else []
            for archive in archives:
                inside = replace(target, directory=True, keep_owner=not step.chown)
                members += copying.members([archive], inside, view)
            return layer.of_members(ground, list({member.path: member for member in members}.values()))


def _mode(text: str) -> int | None:
    if not text:
        return None
    try:
        return int(text, 8) & 0o7777
    except ValueError as e:
        raise ActionError("build-failed", f"chmod {text!r} is not an octal mode") from e


def _local(step: Step) -> tuple[str, ...]:
    """The sources that lie in the build context."""
    return tuple(source for source in step.source if step.kind != "add" or not downloads.is_url(source))


def _files(step: Step, workshop: Workshop) -> Mapping[str, str]:
    return _entries(workshop.contexts.get(step.context)) if workshop.contexts.has(step.context) else {}


def _entries(manifest: ContextManifest) -> Mapping[str, str]:
    return {entry.path: f"{entry.type} {entry.mode:o} {entry.digest[7:23]}{entry.target}" for entry in manifest.entries}


COPY = CopyInstruction("copy", unpacks=False)
ADD = CopyInstruction("add", unpacks=True)
