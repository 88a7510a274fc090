"""Files that templates include or import: `{% include 'x.j2' %}`, `{% from 'macros.j2' import url %}`.

A name starts in the project's directory; one that begins with `./` or `../` where the file lies that names it. Nothing
outside of the directory is read. The text of such a file is Jinja alone: no `${…}` in it.
"""

from __future__ import annotations

import os

from stackfile.errors import Place, StackError
from stackfile.language.dialect import shown_path
from stackfile.language.growth import MAX_TEXT
from stackfile.language.options import Reader


class Partials:
    """Reads such files for one load. `read_files` is told of each."""

    def __init__(self, reader: Reader, directory: str, cwd: str, read_files: list[str]) -> None:
        self._reader = reader
        self._directory = directory
        self._cwd = cwd
        self._read_files = read_files

    def read(self, name: str) -> tuple[str, str] | None:
        """(text, name for a person) of a file; None where there is none.

        StackError: include-outside, file-unreadable, too-large, template-syntax (it is not UTF-8).
        """
        path = os.path.normpath(os.path.join(self._directory, name))
        if not (self._inside(path, self._directory) and self._inside(*map(os.path.realpath, (path, self._directory)))):
            raise StackError("include-outside", f"{name} lies outside the project", hint=f"it is {self._directory}")
        shown = shown_path(path, self._cwd)
        try:
            data = self._reader.read(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            cause = error.strerror or str(error)
            raise StackError("file-unreadable", f"cannot read {shown}", cause=cause) from error
        if len(data) > MAX_TEXT:
            raise StackError("too-large", f"{shown} has {len(data)} bytes", hint=f"the limit is {MAX_TEXT}")
        self._read_files.append(path)
        try:
            return data.decode("utf-8-sig"), shown
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise StackError("template-syntax", "the file is not UTF-8", at=Place(shown, line)) from error

    @staticmethod
    def _inside(path: str, directory: str) -> bool:
        return path.startswith(directory.rstrip("/") + "/")
