"""Lock files on the caller's side: which images a stack names, and a stack with what a lock says of them.

A stack that follows a lock has `NAME:TAG@DIGEST` in place of `NAME:TAG`, everywhere: nothing behind it needs to know
of locks. What has a digest in the stack file itself is not locked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from stackfile.api import dockerfiles
from stackfile.api.references import full_name
from stackfile.errors import ErrorCollector, Place, RefusedError, StackError
from stackfile.language import LoadOptions, Reader, lockfile
from stackfile.language.dialect import shown_path
from stackfile.language.options import FileReader
from stackfile.model.lock import Lock
from stackfile.model.stack import Build, ImageResource, Service, Stack

_CONTEXT = "docker-image://"


@dataclass(frozen=True, slots=True)
class LockFile:
    """Where a stack's lock file is: its path, and what a person calls it."""

    path: str
    name: str

    @classmethod
    def of(cls, stack: Stack, options: LoadOptions) -> LockFile:
        """Beside the stack's first file."""
        named = options.files[0] != "-" if options.files else bool(stack.files)
        directory = os.path.dirname(stack.files[0]) if named and stack.files else stack.directory
        path = os.path.join(directory, lockfile.NAME)
        return cls(path, shown_path(path, options.directory))

    def read(self, reader: Reader | None = None) -> Lock | None:
        """What it says; None where there is none. StackError (`file-unreadable` and as `lockfile.parse`)."""
        try:
            data = (reader or FileReader()).read(self.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StackError(
                "file-unreadable", f"{self.name} cannot be read", at=Place(self.name), cause=error.strerror or ""
            ) from error
        return lockfile.parse(data, self.name)

    def text(self, lock: Lock) -> str:
        """The text that says this."""
        return lockfile.render(lock)


def references(stack: Stack) -> dict[str, Place | None]:
    """The images of registries that a stack names without a digest, in full, and where each is named first: those of
    services, of `from:`, and of the Dockerfiles of its builds with their arguments.

    StackError, or ErrorList, for a Dockerfile that cannot be read.
    """
    found: dict[str, Place | None] = {}
    for reference, place in _named(stack):
        if "@" not in reference:
            found.setdefault(full_name(reference), place)
    return found


def locked(stack: Stack, lock: Lock | None, file: LockFile) -> Stack:
    """The stack with the content that the lock says. RefusedError, or ErrorList (`lock-differs`), naming every
    reference that the lock has not; errors as `references`.
    """
    if lock is None:
        raise RefusedError("lock-differs", f"there is no {file.name}", hint="`stackfile lock` writes it")
    errors = ErrorCollector()
    for reference, place in references(stack).items():
        if reference not in lock.images:
            message = f"{reference} is not in {file.name}"
            errors.add(RefusedError("lock-differs", message, at=place, hint="`stackfile lock` adds it"))
    errors.check()
    digests = {reference: image.digest for reference, image in lock.images.items()}
    images = {name: _image(stack, image, digests) for name, image in stack.images.items()}
    services = {name: _service(service, digests) for name, service in stack.services.items()}
    return replace(stack, images=images, services=services)


def _named(stack: Stack) -> Iterator[tuple[str, Place | None]]:
    for name, service in stack.services.items():
        if service.image and not service.image_is_stack_image:
            yield service.image, _place(stack, f"service.{name}/image", f"service.{name}")
    errors = ErrorCollector()
    for name, image in stack.images.items():
        if image.build is not None:
            try:
                outside = dockerfiles.outside_images(stack, image)
            except StackError as error:
                errors.add(error)
                continue
            yield from outside.values()
        elif is_reference(image):
            yield image.base, _place(stack, f"image.{name}/from", f"image.{name}")
    errors.check()


def is_reference(image: ImageResource) -> bool:
    """Whether a recipe stands on an image of a registry."""
    return not (image.base_is_stack_image or image.base_path or image.base == "scratch")


def _place(stack: Stack, *keys: str) -> Place | None:
    return next((stack.origins[key].at for key in keys if key in stack.origins), None)


# ---------------------------------------------------------------- with the lock's content


def _pinned(reference: str, digests: Mapping[str, str]) -> str:
    digest = digests.get(full_name(reference), "") if "@" not in reference else ""
    if not digest:
        return reference
    tag = "" if ":" in reference.rpartition("/")[2] else ":latest"
    return f"{reference}{tag}@{digest}"


def _service(service: Service, digests: Mapping[str, str]) -> Service:
    if service.image_is_stack_image:
        return service
    variants = tuple(_service(variant, digests) for variant in service.variants)
    return replace(service, image=_pinned(service.image, digests), variants=variants)


def _image(stack: Stack, image: ImageResource, digests: Mapping[str, str]) -> ImageResource:
    if image.build is not None:
        return replace(image, build=_build(stack, image, image.build, digests))
    return replace(image, base=_pinned(image.base, digests)) if is_reference(image) else image


def _build(stack: Stack, image: ImageResource, build: Build, digests: Mapping[str, str]) -> Build:
    """A name of the Dockerfile that a named context has means that context."""
    pinned = {
        name: _CONTEXT + _pinned(reference, digests)
        for name, (reference, _) in dockerfiles.outside_images(stack, image).items()
        if "@" not in reference
    }
    return replace(build, contexts={**build.contexts, **pinned})
