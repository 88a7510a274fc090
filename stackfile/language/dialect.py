"""Which files a stack is made of, and in which dialect each is written."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence
from dataclasses import dataclass

from stackfile.errors import Place, StackError
from stackfile.language.options import LoadOptions, Reader, Warned

STACK = "stack"
COMPOSE = "compose"

STACK_NAMES = ("stack.yaml", "stack.yml", "stackfile.yaml", "stackfile.yml")
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


def files_of(options: LoadOptions, reader: Reader, warnings: list[Warned]) -> tuple[list[SourceFile], str]:
    """The files of a stack, and the project directory. Raises StackError (no-stack-file, file-not-found)."""
    cwd = os.path.abspath(options.directory)
    files = options.files or tuple(filter(None, options.environ.get("COMPOSE_FILE", "").split(_separator(options))))
    chosen = _named(files, cwd, reader) if files else _discovered(cwd, options, reader, warnings)
    first = chosen[0].path
    directory = os.path.dirname(first) if first != "-" else cwd
    if options.project_directory:
        directory = os.path.normpath(os.path.join(cwd, options.project_directory))
    return chosen, directory


def _separator(options: LoadOptions) -> str:
    return options.environ.get("COMPOSE_PATH_SEPARATOR") or os.pathsep


def _named(files: Sequence[str], cwd: str, reader: Reader) -> list[SourceFile]:
    """Names that say nothing follow the first file; alone they are Compose."""
    result: list[SourceFile] = []
    for name in files:
        path = name if name == "-" else os.path.normpath(os.path.join(cwd, name))
        if path != "-" and not reader.exists(path):
            raise StackError("file-not-found", f"no such file: {name}", at=Place(name))
        follows = result[0].dialect if result else COMPOSE
        result.append(SourceFile(name, path, dialect_of(path) or follows))
    return result


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
        shown = _shown(os.path.join(directory, base), cwd)
        warnings.append(Warned(f"{base} is used; {', '.join(found[1:])} beside it is not", Place(shown)))
    stem, extension = os.path.splitext(base)
    for ending in dict.fromkeys((extension, ".yaml", ".yml")):
        if reader.exists(os.path.join(directory, f"{stem}.override{ending}")):
            names.append(f"{stem}.override{ending}")
            break
    dialect = STACK if base in STACK_NAMES else COMPOSE
    paths = [os.path.join(directory, name) for name in names]
    return [SourceFile(_shown(path, cwd), path, dialect) for path in paths]


def _shown(path: str, cwd: str) -> str:
    """A path as the user would write it: relative where it is near."""
    relative = os.path.relpath(path, cwd)
    return relative if relative.count("..") <= 2 else path
