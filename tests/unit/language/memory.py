"""Loading stacks from text, for the tests of the language."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from stackfile.errors import ErrorList, StackfileError
from stackfile.language import LoadOptions, Warned, load
from stackfile.model.stack import Service, Stack

DIRECTORY = "/project"


def _deep() -> int:
    try:
        list(yaml.parse("[" * 2000, Loader=yaml.CSafeLoader))
    except yaml.MarkedYAMLError as error:
        return 1000 if "nesting" in str(error.problem) else 64
    raise AssertionError("that is no YAML")


DEEP = _deep()
"""Levels of lists on one line, of thousands, behind which the reader stops: newer PyYAMLs count ahead of us."""


class MemoryReader:
    """Files by absolute path."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = files

    def read(self, path: str) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return self.files[path].encode()

    def exists(self, path: str) -> bool:
        return path in self.files


def load_files(
    files: Mapping[str, str],
    /,
    warnings: list[Warned] | None = None,
    environ: Mapping[str, str] | None = None,
    **rest: Any,
) -> Stack:
    """The stack of files that lie in DIRECTORY."""
    content = {f"{DIRECTORY}/{name}": textwrap.dedent(text) for name, text in files.items()}
    options = LoadOptions(directory=DIRECTORY, environ=environ or {}, **rest)
    return load(options, MemoryReader(content), warnings)


def load_text(text: str, name: str = "stack.yaml", **rest: Any) -> Stack:
    return load_files({name: text}, **rest)


def service(keys: str, rest: str = "", **options: Any) -> Service:
    """The service `a` with these keys (flow style), and further sections."""
    return load_text(f"services: {{a: {{image: x, {keys}}}}}\n{textwrap.dedent(rest)}", **options).services["a"]


Found = tuple[str, str, int, int]


def errors_of_files(files: Mapping[str, str], /, **rest: Any) -> list[Found]:
    """(reason, file, line, column) of every mistake, in the order of the report."""
    with pytest.raises(StackfileError) as caught:
        load_files(files, **rest)
    error = caught.value
    assert error.exit_code == 3
    found = error.errors if isinstance(error, ErrorList) else (error,)
    return [(e.reason, e.at.file, e.at.line, e.at.column) if e.at else (e.reason, "", 0, 0) for e in found]


def errors_of(text: str, name: str = "stack.yaml", **rest: Any) -> list[Found]:
    return errors_of_files({name: text}, **rest)
