"""Stack files in canonical layout: what `fmt` would write, and writing it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from stackfile.errors import ActionError, ConflictError, ErrorCollector, Place, StackfileError
from stackfile.language import FileReader, LoadOptions, files
from stackfile.language.document import read_bytes
from stackfile.language.formatting import formatted
from stackfile.language.source import encoding

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Formatted:
    """A file as it is and in canonical layout. `file` as the user names it, `path` absolute (`-`: standard input)."""

    file: str
    path: str
    before: bytes
    after: bytes
    state: tuple[int, ...]
    """What tells whether the file has changed since it was read."""

    @property
    def changed(self) -> bool:
        return self.before != self.after

    def text(self, data: bytes) -> str:
        """`before` or `after` as text."""
        return data.decode(encoding(self.before)).removeprefix("\ufeff")


def formatted_files(options: LoadOptions, names: Sequence[str] = ()) -> list[Formatted]:
    """Files in canonical layout, nothing written; without `names`, those that `options` name.

    Raises StackError where one is no YAML (ErrorList for several), ActionError where its meaning would change.
    """
    pairs = [(name, name if name == STDIN else os.path.join(options.directory, name)) for name in names]
    errors = ErrorCollector()
    result = []
    for file, path in pairs or [(each.shown, each.path) for each in files(options)]:
        try:
            state = () if path == STDIN else _state(path)
            before = read_bytes(path, file, FileReader())
            result.append(Formatted(file, path, before, formatted(before, file), state))
        except StackfileError as error:
            errors.add(error)
    errors.check()
    return result


def write_formatted(item: Formatted) -> None:
    """Replaces the file at once by its canonical layout; mode, owner and extended attributes stay, a link stays one.

    Raises ConflictError where the file was changed since it was read, ActionError where it cannot be written.
    """
    path = os.path.realpath(item.path)
    try:
        _replace(path, item)
    except OSError as error:
        cause = error.strerror or str(error)
        raise ActionError("action-failed", f"cannot write {item.file}", at=Place(item.file), cause=cause) from error


def _replace(path: str, item: Formatted) -> None:
    status = os.stat(path)
    descriptor, fresh = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=os.path.dirname(path))
    try:
        with open(descriptor, "wb") as file:
            file.write(item.after)
            file.flush()
            if (status.st_uid, status.st_gid) != (os.geteuid(), os.fstat(descriptor).st_gid):
                os.fchown(descriptor, status.st_uid, status.st_gid)
            os.fchmod(descriptor, status.st_mode & 0o7777)
            for name in os.listxattr(path):
                with suppress(OSError):  # of the file system or the kernel: not ours to set
                    os.setxattr(descriptor, name, os.getxattr(path, name))
            os.fsync(descriptor)
        if _state(path) != item.state:
            raise ConflictError("conflict", f"{item.file} was changed meanwhile", at=Place(item.file), hint="try again")
        os.replace(fresh, path)
    except BaseException:
        os.unlink(fresh)
        raise


def _state(path: str) -> tuple[int, ...]:
    """What a change of the file changes; nothing where there is no file."""
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
