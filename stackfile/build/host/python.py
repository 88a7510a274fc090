"""What belongs to a Python interpreter: its standard library, found by rule, without site-packages and tests."""

from __future__ import annotations

import os
import re
import stat

from stackfile.build.host.files import Collector

_NAME = re.compile(r"python(3\.\d+)t?")
_PROGRAM = re.compile(r"python(3(\.\d+)?t?)?")
_LIBRARY = re.compile(r"python(3\.\d+)t?")
_LEFT_OUT = frozenset(
    {"__pycache__", "site-packages", "dist-packages", "test", "tests", "idlelib", "idle_test", "turtledemo"}
)


def is_interpreter(path: str) -> bool:
    """Whether the real path of a program is a CPython interpreter by its name."""
    return _PROGRAM.fullmatch(os.path.basename(path)) is not None


def library(interpreter: str) -> tuple[str, str] | None:
    """(directory, cache tag) of the standard library of an interpreter by its real path, e.g.
    ("/usr/lib/python3.11", "cpython-311"). None when there is none beside it.
    """
    prefix = os.path.dirname(os.path.dirname(interpreter))
    name = _NAME.fullmatch(os.path.basename(interpreter))
    for directory in ("lib", "lib64"):
        base = os.path.join(prefix, directory)
        for version in [f"python{name[1]}"] if name else _versions(base):
            found = _LIBRARY.fullmatch(version)
            if found and os.path.exists(f"{base}/{version}/os.py"):
                return f"{base}/{version}", "cpython-" + found[1].replace(".", "")
    return None


def bring_library(collector: Collector, directory: str, tag: str) -> list[str]:
    """Take a standard library; returns the extension modules in it (real paths), which need libraries themselves."""
    modules: list[str] = []
    collector.bring(directory)
    _bring(collector, directory, tag, modules)
    return modules


def _bring(collector: Collector, directory: str, tag: str, modules: list[str]) -> None:
    for entry in collector.list(directory):
        name = entry.name
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            if name not in _LEFT_OUT and not name.startswith("config-"):
                collector.bring(entry.path)
                _bring(collector, entry.path, tag, modules)
        elif not name.endswith((".a", ".pyc")) and (stat.S_ISREG(mode) or os.path.isfile(entry.path)):
            real = collector.bring(entry.path, interpreter=tag if name.endswith(".py") else "")
            if name.endswith(".so"):
                modules.append(real)


def _versions(base: str) -> list[str]:
    """`python3.N` directories, newest first."""
    try:
        names = [name for name in os.listdir(base) if _LIBRARY.fullmatch(name)]
    except FileNotFoundError:
        return []
    return sorted(names, key=lambda name: int(name.rstrip("t").rpartition(".")[2]), reverse=True)
