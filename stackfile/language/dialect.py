"""Which files a stack is made of, and in which dialect each is written."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stackfile.errors import Place, StackError
from stackfile.language.options import LoadOptions, Reader, Warned

STACK = "stack"
COMPOSE = "compose"

STACK_NAMES = ("stack.yaml", "stack.yml", "stackfile.yaml", "stackfile.yml")
_COMPOSE_OVERRIDES = (
    "compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml",
)  # fmt: skip
"""The first that exists counts, whatever the base is called, as for Compose."""
COMPOSE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")

_STACK_PATTERNS = (
    "stack*.yaml", "stack*.yml", "stackfile*.yaml", "stackfile*.yml", "*.stack.yaml", "*.stack.yml", "*.j2",
)  # fmt: skip
_COMPOSE_PATTERNS = ("compose*.yaml", "compose*.yml", "docker-compose*.yaml", "docker-compose*.yml")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of the stack: its path as shown to the user, the absolute path, and its dialect by name."""

    shown: str
    path: str
    dialect: str


def dialect_of(path: str) -> str | None:
    """The dialect that a file's name says, None where it says nothing."""
    name = os.path.basename(path).lower()
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in _STACK_PATTERNS):
        return STACK
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in _COMPOSE_PATTERNS):
        return COMPOSE
    return None


def files_of(
    options: LoadOptions, environ: Mapping[str, str], reader: Reader, warnings: list[Warned]
) -> tuple[list[SourceFile], str]:
    """The files of a stack, and the project directory; `environ` may name them with COMPOSE_FILE.

    Raises StackError (no-stack-file, file-not-found, bad-value).
    """
    cwd = os.path.abspath(options.directory)
    separator = environ.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
    listed = tuple(filter(None, environ.get("COMPOSE_FILE", "").split(separator)))
    if options.files:
        chosen = _named(options.files, cwd, reader, Place("-f"))
    elif listed:
        chosen = _named(listed, cwd, reader, Place("COMPOSE_FILE"))
    else:
        chosen = _discovered(cwd, options, reader, warnings)
    first = chosen[0].path
    directory = os.path.dirname(first) if first != "-" else cwd
    if options.project_directory:
        directory = os.path.normpath(os.path.join(cwd, options.project_directory))
    return chosen, directory


def _named(files: Sequence[str], cwd: str, reader: Reader, at: Place) -> list[SourceFile]:
    """Names that say nothing follow the first file; alone they are Compose."""
    result: list[SourceFile] = []
    for name in files:
        path = name if name == "-" else os.path.normpath(os.path.join(cwd, name))
        if path != "-" and not reader.exists(path):
            raise _not_there(name, path, reader, at)
        follows = result[0].dialect if result else COMPOSE
        result.append(SourceFile(name, path, dialect_of(path) or follows))
    return result


def _not_there(name: str, path: str, reader: Reader, at: Place) -> StackError:
    scheme, separator, _ = name.partition("://")
    if separator and scheme.isalnum():
        hint = "fetch it first, and name the file"
        return StackError("bad-value", f"a stack file is a local file, not {name}", at=at, hint=hint)
    inside = [file for file in STACK_NAMES + COMPOSE_NAMES if reader.exists(os.path.join(path, file))]
    if inside:
        hint = f"name its file, {os.path.join(name, inside[0])}, or use --project-directory {name}"
        return StackError("file-unreadable", f"{name} is a directory", at=at, hint=hint)
    return StackError("file-not-found", f"no such file: {name}", at=at)


def _discovered(cwd: str, options: LoadOptions, reader: Reader, warnings: list[Warned]) -> list[SourceFile]:
    directory = os.path.normpath(os.path.join(cwd, options.project_directory or "."))
    while True:
        found = [name for name in STACK_NAMES + COMPOSE_NAMES if reader.exists(os.path.join(directory, name))]
        if found:
            return _with_override(directory, cwd, found, reader, warnings)
        parent = os.path.dirname(directory)
        if parent == directory:
            raise StackError(
                "no-stack-file",
                "no stack.yaml or compose.yaml here or in a parent directory",
                at=Place(cwd),
                hint="name one with -f FILE, or begin with `stackfile init`",
            )
        directory = parent


def _with_override(
    directory: str, cwd: str, found: list[str], reader: Reader, warnings: list[Warned]
) -> list[SourceFile]:
    base = found[0]
    names = [base]
    if len(found) > 1:
        shown = shown_path(os.path.join(directory, base), cwd)
        warnings.append(Warned(f"{base} is used; {', '.join(found[1:])} beside it is not", Place(shown)))
    dialect = STACK if base in STACK_NAMES else COMPOSE
    stem, extension = os.path.splitext(base)
    overrides = [f"{stem}.override{ending}" for ending in dict.fromkeys((extension, ".yaml", ".yml"))]
    if dialect == COMPOSE:
        overrides = list(_COMPOSE_OVERRIDES)
    present = [name for name in overrides if reader.exists(os.path.join(directory, name))]
    if len(present) > 1:
        shown = shown_path(os.path.join(directory, present[0]), cwd)
        warnings.append(Warned(f"{present[0]} is used; {', '.join(present[1:])} beside it is not", Place(shown)))
    names += present[:1]
    paths = [os.path.join(directory, name) for name in names]
    return [SourceFile(shown_path(path, cwd), path, dialect) for path in paths]


def shown_path(path: str, cwd: str) -> str:
    """A path as the user would write it: relative where it is near."""
    relative = os.path.relpath(path, cwd)
    return relative if relative.count("..") <= 2 else path
