"""What a load is asked for, and how it reads files."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, ClassVar, Protocol

from stackfile.errors import Place


class Reader(Protocol):
    """Access to files. Paths are absolute, or `-` for standard input."""

    def read(self, path: str) -> bytes:
        """The whole content. Raises OSError."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is a file of that name."""
        ...


class FileReader:
    """Reads the file system with the rights of this process. Standard input can be read once: what it said is kept."""

    _stdin: ClassVar[tuple[BinaryIO, bytes] | None] = None

    def read(self, path: str) -> bytes:
        if path == "-":
            stream = sys.stdin.buffer
            if FileReader._stdin is None or FileReader._stdin[0] is not stream:
                FileReader._stdin = stream, stream.read()
            return FileReader._stdin[1]
        with open(path, "rb") as stream:
            return stream.read()

    def exists(self, path: str) -> bool:
        return os.path.exists(path) and not os.path.isdir(path)


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning: one line, and the place it is about."""

    message: str
    at: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How the canonical form of Compose files is written: what is not resolved stays as it was written."""

    interpolate: bool = True
    """Without it, `${…}` stays, and a value that cannot be told without is written as it was."""
    normalize: bool = True
    """Names, defaults, the default network and implied dependencies."""
    paths: bool = True
    """Paths as absolute ones."""
    consistency: bool = True
    """Whether what is named must exist and fit together."""
    env_files: bool = True
    """The content of `env_file` in `environment`."""
    models: bool = False
    """`models` too, which Compose prints as YAML and leaves out of its JSON."""
    every: bool = False
    """Services of profiles that are not enabled too, and resources that no service uses."""
    services: tuple[str, ...] = ()
    """Only these and what they depend on; none: all."""

    @property
    def whole(self) -> bool:
        """Whether everything is resolved."""
        return self.interpolate and self.normalize and self.paths and self.consistency and self.env_files


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """Everything besides the files themselves that decides what a stack means."""

    files: tuple[str, ...] = ()
    """`-f`; `-` is standard input. Empty: discovery from `directory` upwards."""
    project_name: str = ""
    environment: str = ""
    """`-E`; empty: STACKFILE_ENVIRONMENT, else the environment with `default: true`, else none."""
    values_files: tuple[str, ...] = ()
    sets: tuple[tuple[str, str], ...] = ()
    """(kind, `path=value`) in the order of the command line; kind: set, set-string, set-file, set-json."""
    env_files: tuple[str, ...] = ()
    """`--env-file`; empty: `.env` in the project directory, where it exists."""
    profiles: tuple[str, ...] = ()
    """`--profile`; `*` for all. COMPOSE_PROFILES counts where this is empty."""
    services: tuple[str, ...] = ()
    """Services named on the command line: they are loaded even where their profile is not enabled."""
    project_directory: str = ""
    directory: str = "."
    """Where relative paths of the command line start (the caller's cwd)."""
    environ: Mapping[str, str] = field(default_factory=dict)
    scale: Mapping[str, int] = field(default_factory=dict)
    """Service or group → replicas (`--scale`)."""
