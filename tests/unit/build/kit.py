"""A builder of a test's own, over a real database, with a runner that runs commands by chroot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stackfile import wire
from stackfile.build.builder import Builder
from stackfile.build.contexts import ContextStore
from stackfile.digest import sha256
from stackfile.images.store import ImageStore
from stackfile.images.view import MergedView
from stackfile.model.image import BuildEvaluation, BuildResult, ContextEntry, ContextManifest
from stackfile.model.stack import ImageResource, Mount, Step
from stackfile.provider.runner import StepRoot
from tests.unit.images.kit import open_store

Effect = Callable[[Path], int]


@dataclass
class RecordingRunner:
    """Remembers what it was to run; `effect` writes into the upper directory and gives the exit code."""

    effect: Effect = lambda upper: 0
    calls: list[tuple[tuple[str, ...], dict[str, str], str, str]] = field(default_factory=list)

    async def run(
        self,
        root: StepRoot,
        mounts: Sequence[Mount],
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        user: str = "",
        working_dir: str = "/",
        network: str = "default",
        extra_hosts: Sequence[str] = (),
        output: Callable[[bytes], None] | None = None,
    ) -> int:
        self.calls.append((tuple(argv), dict(env), user, working_dir))
        if output:
            output(b"first line\nlast ")
            output(b"line")
        return self.effect(Path(root.upper))


@dataclass
class Workbench:
    """Builds images synchronously, and reads what is in them."""

    images: ImageStore
    contexts: ContextStore
    runner: RecordingRunner
    builder: Builder
    lines: list[str] = field(default_factory=list)

    def context(self, files: Mapping[str, str | None]) -> str:
        """Send a context: path → text, None for a directory, `→x` for a link. Returns its digest."""
        manifest = wire.canonical(ContextManifest(entries=tuple(entry(path, text) for path, text in files.items())))
        for digest in self.contexts.add(sha256(manifest), manifest):
            text = next(text for text in files.values() if text is not None and sha256(text.encode()) == digest)
            self.images.blobs.put([text.encode()], digest)
        return sha256(manifest)

    def evaluate(self, *images: ImageResource) -> dict[str, BuildEvaluation]:
        return asyncio.run(self.builder.evaluate({image.name: image for image in images}))

    def build(self, *images: ImageResource, no_cache: bool = False) -> BuildResult:
        """Build the last of the images; those before it are built already."""
        named = {image.name: image for image in images}
        return asyncio.run(self.builder.build(named, images[-1].name, no_cache=no_cache, progress=self.lines.append))

    def reasons(self, *images: ImageResource) -> list[str]:
        """Why the steps of the last image are not cached."""
        return [step.reason for step in self.evaluate(*images)[images[-1].name].steps]

    def read(self, image: str, path: str) -> bytes | None:
        with MergedView(self.images.lower(image)) as view:
            return view.read(path, 1 << 20)


def entry(path: str, text: str | None) -> ContextEntry:
    if text is None:
        return ContextEntry(path=path, type="dir", mode=0o755)
    if text.startswith("→"):
        return ContextEntry(path=path, type="symlink", mode=0o777, target=text[1:])
    data = text.encode()
    return ContextEntry(path=path, type="file", mode=0o644, size=len(data), digest=sha256(data))


def image(name: str, *steps: Step, base: str = "", tags: tuple[str, ...] = ()) -> ImageResource:
    """A stack image; `base` is another one."""
    return ImageResource(
        name=name,
        base=base or "scratch",
        base_is_stack_image=bool(base),
        steps=steps,
        tags=tags or (f"docker.io/test/{name}:latest",),
    )


@contextmanager
def open_workbench(directory: Path) -> Iterator[Workbench]:
    with open_store(directory) as images, ThreadPoolExecutor(1) as pool:
        contexts = ContextStore(images.paths, images.blobs)
        runner = RecordingRunner()
        builder = Builder(images, contexts, runner, pool)
        builder.recover()
        yield Workbench(images, contexts, runner, builder)
