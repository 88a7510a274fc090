"""Dockerfiles and their contexts on the caller's side: read with the caller's rights, checked before anything starts.

A context is a directory with all that its ignore file leaves: `<Dockerfile>.dockerignore` beside the Dockerfile, else
`.dockerignore` of the context.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace

from stackfile import wire
from stackfile.api.contexts import Reader
from stackfile.api.stacks import Upload
from stackfile.errors import ErrorCollector, Place, StackError, StackfileError
from stackfile.language import dockerfile
from stackfile.language.dockerfile import Plan, words
from stackfile.model.image import ContextManifest
from stackfile.model.patterns import has_wildcard, matches, normal
from stackfile.model.stack import Build, ImageResource, SecretRef, Stack

_LARGEST = 1 << 20


def fill(stack: Stack) -> tuple[Stack, list[Upload]]:
    """Read what the builds of the stack's images name. Returns the stack with it filled in, and the contexts.

    StackError, or ErrorList with all mistakes: `file-not-found`, `context-unreadable`, and those of a Dockerfile at
    their places in it.
    """
    errors = ErrorCollector()
    uploads: dict[str, Upload] = {}
    images = dict(stack.images)
    for name, image in stack.images.items():
        if image.build is None:
            continue
        try:
            build = _Filling(stack, image, image.build, uploads).run()
        except StackfileError as error:
            errors.add(error)
            continue
        images[name] = replace(image, build=build)
    errors.check()
    return replace(stack, images=images), list(uploads.values())


def outside_images(stack: Stack, image: ImageResource) -> dict[str, tuple[str, Place | None]]:
    """What the Dockerfile of an image names → the image of a registry that it means, and where that is said.

    As far as the file and its arguments tell: what an image's own triggers (ONBUILD) name is not known. StackError, or
    ErrorList, as `fill`.
    """
    assert image.build is not None, image.name
    return _Filling(stack, image, image.build, {}).outside()


class _Filling:
    def __init__(self, stack: Stack, image: ImageResource, build: Build, uploads: dict[str, Upload]) -> None:
        self._stack = stack
        self._image = image
        self._build = build
        self._uploads = uploads
        address = f"service.{image.service}/build" if image.service else f"image.{image.name}/build"
        self._places = [f"{address}/{{}}", address, f"image.{image.name}"]

    def run(self) -> Build:
        build = self._with_text()
        plan = _planned(build)
        build = replace(build, images=self._images(plan, build))
        if _reads_context(plan):
            context = self._read(build.context, self._ignore_files(), "context")
            _check_sources(plan, build, context)
            build = replace(build, manifest=context.digest)
        manifests = {
            name: self._read(value, (".dockerignore",), "additional_contexts").digest
            for name, value in build.contexts.items()
            if value.startswith("/") and name in plan.images
        }
        return replace(build, manifests=manifests, secret_texts=self._secrets())

    def outside(self) -> dict[str, tuple[str, Place | None]]:
        plan = _planned(self._with_text())
        places = {stage.base: stage.stage.base_at for stage in reversed(plan.stages)}
        named = self._named()
        found: dict[str, tuple[str, Place | None]] = {}
        for name in plan.images:
            meant = self._build.contexts.get(name, name)
            if name not in named and not meant.startswith("/"):
                place = self._place("dockerfile") or self._place("")
                found[name] = (meant.removeprefix("docker-image://"), places.get(name, place))
        return found

    def _with_text(self) -> Build:
        build = self._build
        text, shown = (self._text(), self._shown()) if build.file else (build.text, self._inline())
        return replace(build, text=text, dockerfile=shown)

    def _place(self, key: str) -> Place | None:
        """Where the stack file says it."""
        found = (self._stack.origins.get(item.format(key)) for item in self._places)
        return next((origin.at for origin in found if origin is not None), None)

    def _text(self) -> str:
        path = self._build.file
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                text = file.read(_LARGEST + 1)
        except OSError as e:
            missing = isinstance(e, FileNotFoundError | NotADirectoryError)
            raise StackError(
                "file-not-found" if missing else "file-unreadable",
                f"the Dockerfile {path} cannot be read",
                at=self._place("dockerfile"),
                cause=e.strerror or "",
            ) from e
        if len(text) > _LARGEST:
            raise StackError("too-large", f"{path} is larger than {_LARGEST} bytes", at=self._place("dockerfile"))
        return text

    def _shown(self) -> str:
        """The Dockerfile's path for a person: from the stack's directory, where it lies below."""
        path = os.path.relpath(self._build.file, self._stack.directory or ".")
        return self._build.file if path.startswith("../..") else path

    def _inline(self) -> str:
        place = self._place("dockerfile_inline")
        return f"{place.file} (dockerfile_inline)" if place else "dockerfile_inline"

    def _ignore_files(self) -> tuple[str, ...]:
        own = os.path.relpath(f"{self._build.file}.dockerignore", self._build.context) if self._build.file else ""
        return (own, ".dockerignore") if own else (".dockerignore",)

    def _read(self, directory: str, ignore_files: tuple[str, ...], key: str) -> Upload:
        place = self._place(key)
        if not os.path.isdir(directory):
            raise StackError("context-unreadable", f"the build context {directory} is no directory", at=place)
        reader = Reader(directory, ignore_files)
        upload = reader.sources([(".", place)])
        reader.cache.save()
        self._uploads[upload.digest] = upload
        return upload

    def _images(self, plan: Plan, build: Build) -> tuple[str, ...]:
        """Images of the stack that the build needs. A name of the Dockerfile means the stack's image, as `image:` of a
        service does.
        """
        named = self._named()
        found = (named[name] for name in plan.images if named.get(name) in self._stack.images)
        return tuple(dict.fromkeys(name for name in found if name != self._image.name))

    def _named(self) -> dict[str, str]:
        """What a Dockerfile may call an image of the stack → its key."""
        named = {name: name for name, image in self._stack.images.items() if not image.service}
        return named | {name: value[6:] for name, value in self._build.contexts.items() if value.startswith("image:")}

    def _secrets(self) -> dict[str, str]:
        return {name: _content(self._stack, source) for name, source in self._build.secrets.items()}


def _planned(build: Build) -> Plan:
    parsed = dockerfile.parse(build.text, build.dockerfile)
    # The engine's platform matters for what the stages do, not for which there are.
    return dockerfile.plan(parsed, build.target, build.args, "linux/amd64")


def _reads_context(plan: Plan) -> bool:
    """Whether an instruction copies from the context or mounts it: else nothing of it is read."""
    for stage in plan.stages:
        for instruction in stage.stage.instructions:
            flags = dict(instruction.flags)
            if instruction.keyword in ("COPY", "ADD") and "from" not in flags:
                return True
            if "mount" in flags:
                return True
    # What is nothing but a base is there for the triggers of that base, which mostly copy.
    return any(not stage.stage.instructions and stage.base != "scratch" for stage in plan.stages)


def _check_sources(plan: Plan, build: Build, context: Upload) -> None:
    """Every plain source of COPY must be there. Those with variables are looked at when the step runs."""
    paths = [entry.path for entry in wire.decode(context.text.encode(), ContextManifest).entries]
    known = set(paths)
    errors = ErrorCollector()
    for stage in plan.stages:
        for instruction, word in _plain_sources(stage.stage.instructions, plan.escape):
            pattern = normal(word)
            if pattern == ".." or pattern.startswith("../"):
                message = f"{word} lies outside the build context"
                errors.add(instruction.error(message, word, reason="include-outside"))
            elif not (any(matches(pattern, path) for path in paths) if has_wildcard(pattern) else pattern in known):
                message = f"the build context has no {word}"
                hint = f"it is {build.context}, without what .dockerignore names"
                errors.add(instruction.error(message, word, reason="context-unreadable", hint=hint))
    errors.check()


def _plain_sources(
    instructions: tuple[dockerfile.Instruction, ...], escape: str
) -> Iterator[tuple[dockerfile.Instruction, str]]:
    for instruction in instructions:
        if instruction.keyword not in ("COPY", "ADD") or "from" in dict(instruction.flags):
            continue
        found = instruction.array if instruction.array is not None else words.split(instruction.text, escape)
        no_variables: Mapping[str, str] = {}
        for word in found[:-1]:
            if "$" not in word and "<<" not in word and "://" not in word and not word.startswith("git@"):
                yield instruction, words.expand(word, no_variables, escape)


def _content(stack: Stack, name: str) -> str:
    """The content of a secret, as far as the caller knows it."""
    resource = stack.secrets[name]
    if resource.content is None:
        origin = stack.origins.get(f"secret.{name}")
        message = f"secret {name} is generated by the engine: a build cannot have it"
        raise StackError("bad-value", message, at=origin.at if origin else None)
    return "".join(_content(stack, part.secret) if isinstance(part, SecretRef) else part for part in resource.content)
