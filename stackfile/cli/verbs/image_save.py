"""`image save`: images as an archive or a layout."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable
from contextlib import suppress

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.errors import ActionError, UsageError


def register() -> Verb:
    return Verb(
        name="image save",
        summary="Save images as one archive that `docker load`, skopeo and `image load` read",
        operands="IMAGE…",
        minimum=1,
        maximum=None,
        options=(
            option("-o --output", "the archive; a directory with --layout; stdout without it", "FILE"),
            option("--layout", "an OCI layout in a directory instead of an archive"),
            option("--compress", "compress layers", "KIND", choices=("gzip", "zstd")),
        ),
        run=run,
        text="The archive is an OCI layout and a docker-archive at once; the same images give the same bytes.",
    )


def run(context: Context, arguments: Arguments) -> int:
    target = arguments.text("output")
    if arguments.flag("layout") and not target:
        raise UsageError("usage", "--layout needs -o DIRECTORY")
    if not target and sys.stdout.isatty():
        raise UsageError("usage", "an archive is nothing for a terminal", hint="-o FILE")
    chunks = context.client().save_images(arguments.positional, compress=arguments.text("compress"))
    path = os.path.join(context.directory, target)
    if not target:
        for data in chunks:
            sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    elif arguments.flag("layout"):
        _unpack(chunks, path)
    else:
        _write(chunks, path)
    return 0


def _write(chunks: Iterable[bytes], path: str) -> None:
    """Whole or not at all."""
    fresh = f"{path}.{os.getpid()}.part"
    try:
        with open(fresh, "wb") as file:
            for data in chunks:
                file.write(data)
        os.replace(fresh, path)
    except OSError as error:
        raise ActionError("action-failed", f"{path} cannot be written", cause=error.strerror or "") from error
    finally:
        with suppress(FileNotFoundError):
            os.unlink(fresh)


def _unpack(chunks: Iterable[bytes], path: str) -> None:
    import tarfile

    iterator = iter(chunks)

    class Pipe(io.RawIOBase):
        """The archive as tarfile wants to read it."""

        rest = b""

        def read(self, size: int = -1, /) -> bytes:
            while len(self.rest) < size and (data := next(iterator, b"")):
                self.rest += data
            data, self.rest = self.rest[:size], self.rest[size:]
            return data

    os.makedirs(path, exist_ok=True)
    with tarfile.open(fileobj=Pipe(), mode="r|") as tar:
        for member in tar:
            # docker-archive's list belongs to the archive.
            if member.name != "manifest.json":
                tar.extract(member, path, filter="data")
