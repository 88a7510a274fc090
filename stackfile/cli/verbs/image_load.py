"""`image load`: images from an archive or a layout."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import IO

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.errors import StackError, UsageError

_CHUNK = 1 << 20


def register() -> Verb:
    return Verb(
        name="image load",
        summary="Load images from an archive (docker save, OCI layout), or an OCI layout directory",
        operands="[FILE|DIRECTORY]",
        maximum=1,
        options=(
            option("-i --input", "the archive instead of stdin; may be compressed", "FILE"),
            option("--platform", "OS/ARCHITECTURE[/VARIANT] where a layout has several", "PLATFORM"),
            option("-q --quiet", "nothing but errors"),
        ),
        run=run,
        text="JSON: a list of image records.",
    )


def run(context: Context, arguments: Arguments) -> int:
    from stackfile.api import to_plain

    name = arguments.text("input") or next(iter(arguments.positional), "-")
    if name == "-" and sys.stdin.isatty():
        raise UsageError("usage", "no archive: name a file, or give it on stdin")
    records = context.client().load_images(_chunks(context, name), platform=arguments.text("platform"))
    if context.console.json:
        context.console.document([to_plain(record) for record in records])
    elif not arguments.flag("quiet"):
        from stackfile.cli.verbs.images import familiar

        for record in records:
            context.console.say(f"Loaded {', '.join(map(familiar, record.tags)) or record.id}")
    return 0


def _chunks(context: Context, name: str) -> Iterator[bytes]:
    path = os.path.join(context.directory, name)
    if name == "-":
        yield from _read(sys.stdin.buffer)
    elif os.path.isdir(path):
        yield from _directory(path)
    else:
        try:
            file = open(path, "rb")  # noqa: SIM115
        except OSError as error:
            raise StackError("file-unreadable", f"{name} cannot be read", cause=error.strerror or "") from error
        with file:
            yield from _read(file)


def _read(file: IO[bytes]) -> Iterator[bytes]:
    while data := file.read(_CHUNK):
        yield data


def _directory(path: str) -> Iterator[bytes]:
    """A layout as a tar, read with the caller's rights."""
    from tarfile import GNU_FORMAT, TarInfo

    for directory, _, names in sorted(os.walk(path)):
        for name in sorted(names):
            full = os.path.join(directory, name)
            if not os.path.isfile(full):
                continue
            with open(full, "rb") as file:
                info = TarInfo(os.path.relpath(full, path))
                info.size = os.fstat(file.fileno()).st_size
                yield info.tobuf(GNU_FORMAT)
                yield from _read(file)
                yield bytes(-info.size % 512)
    yield bytes(1024)
