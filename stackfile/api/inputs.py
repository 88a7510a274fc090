"""What a plan was made from: the files that a load read and the build contexts, by digest.

Files other than the stack's own may hold secrets (env files, secrets, configs): they are known by HMAC under the
engine's key, never by a bare digest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from stackfile import digest, wire
from stackfile.errors import RefusedError, StackError
from stackfile.language import FileReader
from stackfile.model.stack import Stack

if TYPE_CHECKING:
    from stackfile.api.stacks import Upload

Keys = Callable[[Sequence[bytes]], Sequence[str]]
"""Contents → their HMACs, as the engine knows them."""
_STDIN = "-"


class RecordingReader(FileReader):
    """Reads the file system and remembers what it read."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def read(self, path: str) -> bytes:
        self.contents[path] = data = super().read(path)
        return data


def digests(stack: Stack, contents: Mapping[str, bytes], keys: Keys) -> list[dict[str, str]]:
    """The inputs of a plan: files by path (relative where they lie below the stack's directory), then contexts.

    `stack` has its build contexts filled.
    """
    plain = {path for path in contents if path in stack.files}
    secret = [path for path in contents if path not in plain]
    known = dict(zip(secret, keys([contents[path] for path in secret]) if secret else (), strict=True))
    found = [
        {"path": _shown(path, stack.directory), "digest": known.get(path) or digest.sha256(data)}
        for path, data in sorted(contents.items())
        if path != _STDIN
    ]
    return found + _contexts(stack)


def check(stack: Stack, inputs: Sequence[Mapping[str, str]], keys: Keys) -> tuple[Stack, list[Upload]]:
    """The stack of a saved plan with its contexts read again, and what to send of them.

    Raises RefusedError (`stale-plan`) naming what is not as it was. Where none of the plan's files is there (it is
    applied on another machine) nothing can be compared.
    """
    paths = [item for item in inputs if "path" in item]
    now = {item["path"]: _read(os.path.join(stack.directory, item["path"])) for item in paths}
    if paths and all(data is None for data in now.values()):
        return stack, []
    found = _changed_files(paths, now, keys)
    filled, uploads, unreadable = _refilled(stack)
    found += unreadable
    if not unreadable:
        wanted = {item["context"]: item["digest"] for item in inputs if "context" in item}
        present = {item["context"]: item["digest"] for item in _contexts(filled)}
        found += [f"the build context of image {name} changed" for name in wanted if present.get(name) != wanted[name]]
    if found:
        raise RefusedError("stale-plan", "the plan is stale: " + "; ".join(found),
                           hint="look at a new plan: `stackfile plan`", details={"differences": found})  # fmt: skip
    return filled, uploads


def _changed_files(inputs: Sequence[Mapping[str, str]], now: Mapping[str, bytes | None], keys: Keys) -> list[str]:
    found = [f"{path} is gone" for path, data in now.items() if data is None]
    present = {path: data for path, data in now.items() if data is not None}
    keyed = [item["path"] for item in inputs if not item["digest"].startswith("sha256:") and item["path"] in present]
    known = dict(zip(keyed, keys([present[path] for path in keyed]) if keyed else (), strict=True))
    for item in inputs:
        path = item["path"]
        if path in present and (known.get(path) or digest.sha256(present[path])) != item["digest"]:
            found.append(f"{path} changed")
    return found


def _refilled(stack: Stack) -> tuple[Stack, list[Upload], list[str]]:
    from stackfile.api.stacks import contexts_of

    try:
        return *contexts_of(stack), []
    except StackError as error:
        return stack, [], [f"a build context cannot be read ({error})"]


def _contexts(stack: Stack) -> list[dict[str, str]]:
    """An entry for each image that is built from files of the caller."""
    found = []
    for name, image in sorted(stack.images.items()):
        build = image.build and replace(image.build, secret_texts={})
        if build is not None or image.base_path or any(step.context for step in image.steps):
            found.append({"context": name, "digest": wire.spec_hash(replace(image, build=build))})
    return found


def _shown(path: str, directory: str) -> str:
    inside = directory and path.startswith(f"{directory.rstrip('/')}/")
    return os.path.relpath(path, directory) if inside else path


def _read(path: str) -> bytes | None:
    try:
        return FileReader().read(path)
    except OSError:
        return None
