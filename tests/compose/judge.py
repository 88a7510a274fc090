"""Runs a case through the real Compose and through ours."""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stackfile.errors import ErrorList, StackfileError
from stackfile.language import LoadOptions, configuration
from tests import peers

CASES = Path(__file__).with_name("cases")
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/home/tester"}
THREADS = 4
_HEADER = re.compile(r"# (args|env|rejected|stricter|differs): (.*)")
_BASES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


@dataclass(frozen=True)
class Case:
    """A file or directory of the corpus, and what its header says."""

    name: str
    directory: Path
    args: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict)
    rejected: str = ""
    stricter: str = ""
    differs: str = ""


@dataclass(frozen=True)
class Verdict:
    """What `config` says: its JSON, or why it refuses."""

    plain: dict[str, Any] | None
    error: str = ""


def cases() -> list[Case]:
    """The whole corpus, by name."""
    directories = {path.parent for base in _BASES for path in CASES.rglob(base)}
    found = [_directory_case(path) for path in directories]
    found += [
        _case(path, path.parent, ("-f", path.name))
        for path in CASES.rglob("*.yaml")
        if not any(parent in directories for parent in path.parents)
    ]
    return sorted(found, key=lambda case: case.name)


def _directory_case(directory: Path) -> Case:
    base = next(directory / name for name in _BASES if (directory / name).exists())
    return _case(base, directory, ())


def _case(file: Path, directory: Path, default: tuple[str, ...]) -> Case:
    header: dict[str, str] = {}
    for line in file.read_text(errors="replace").splitlines():
        match = _HEADER.fullmatch(line)
        if not match:
            break
        header[match[1]] = match[2]
    args = tuple(shlex.split(header.pop("args", "")))
    named = "-f" in args
    environ = dict(item.split("=", 1) for item in shlex.split(header.pop("env", "")))
    subject = file if default else directory
    name = str(subject.relative_to(CASES)).removesuffix(".yaml")
    return Case(name, directory, args if named else (*default, *args), ENVIRONMENT | environ, **header)


def of_compose(case: Case) -> Verdict:
    """What the real Compose says."""
    command = [peers.compose(), *case.args, "config", "--format", "json"]
    done = subprocess.run(command, cwd=case.directory, capture_output=True, env=case.environ)
    if done.returncode:
        return Verdict(None, done.stderr.decode(errors="replace"))
    return Verdict(json.loads(done.stdout))


def of_ours(case: Case) -> Verdict | list[StackfileError]:
    """What `stackfile config --format json` prints, or the errors that it reports."""
    try:
        _, plain = configuration(options(case))
    except ErrorList as errors:
        return list(errors.errors)
    except StackfileError as error:
        return [error]
    loaded: dict[str, Any] = json.loads(json.dumps(plain))
    return Verdict(loaded)


_FLAGS = {"-f": "files", "--file": "files", "--env-file": "env_files", "--profile": "profiles"}
_TEXTS = {"-p": "project_name", "--project-name": "project_name", "--project-directory": "project_directory"}


def options(case: Case) -> LoadOptions:
    """The load options of a case's arguments."""
    lists: dict[str, list[str]] = {"files": [], "env_files": [], "profiles": []}
    texts: dict[str, str] = {}
    words = iter(case.args)
    for word in words:
        if word in _FLAGS:
            lists[_FLAGS[word]].append(next(words))
        else:
            texts[_TEXTS[word]] = next(words)
    given: dict[str, Any] = {key: tuple(value) for key, value in lists.items()} | texts
    return LoadOptions(directory=str(case.directory), environ=case.environ, **given)


@functools.cache
def verdicts(group: str) -> dict[str, Future[Verdict]]:
    """Case → what the real Compose says, for the cases of one directory of the corpus: several at a time."""
    pool = ThreadPoolExecutor(min(THREADS, (os.cpu_count() or 1) + 1))
    result = {case.name: pool.submit(of_compose, case) for case in of_group(group)}
    pool.shutdown(wait=False)
    return result


def of_group(group: str) -> list[Case]:
    return [case for case in cases() if case.name.split("/")[0] == group]


def groups() -> list[str]:
    return sorted({case.name.split("/")[0] for case in cases()})


def differences(left: Any, right: Any, path: str = "") -> Iterable[str]:
    """Where two JSON documents differ, a line each: Compose's value, then ours."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in {**left, **right}:
            if key not in right:
                yield f"{path}/{key}: {left[key]!r} is missing"
            elif key not in left:
                yield f"{path}/{key}: {right[key]!r} is too much"
            else:
                yield from differences(left[key], right[key], f"{path}/{key}")
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for number, (one, other) in enumerate(zip(left, right, strict=True)):
            yield from differences(one, other, f"{path}/{number}")
    elif type(left) is not type(right) or left != right:
        yield f"{path}: {left!r}, not {right!r}"
