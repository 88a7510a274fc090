"""Installed packages of this machine: their files, and what they depend on (dpkg(1), deb822(5), Debian policy 7).

Read from dpkg's own files below /var/lib/dpkg; nothing is executed. What a package's scripts make at its installation
is no file of the package: accounts are asked for by name, and the rest belongs to the machine.
"""

from __future__ import annotations

import difflib
import fnmatch
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stackfile.errors import ActionError

DATABASE = "/var/lib/dpkg"
_ALTERNATIVES = "/etc/alternatives"
_NAME = re.compile(r"([a-z0-9][a-z0-9+.-]*)(?::[a-z0-9-]+)?")
_FIELDS = ("Package", "Status", "Architecture", "Provides", "Depends", "Pre-Depends")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An installed package. `depends` is a list of alternatives."""

    name: str
    architecture: str
    provides: tuple[str, ...] = ()
    depends: tuple[tuple[str, ...], ...] = ()


@dataclass(slots=True)
class Packages:
    """The database. `watched` are the files of it that were read."""

    root: str = DATABASE
    watched: list[str] = field(default_factory=list)
    _installed: dict[str, Package] = field(default_factory=dict)
    _provided: dict[str, str] = field(default_factory=dict)
    _diversions: dict[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            status = self._read("status")
        except FileNotFoundError as e:
            raise ActionError(
                "host-program-missing",
                "this machine has no dpkg packages",
                cause=f"there is no {self.root}/status",
                hint="name programs and paths instead: `host: {programs: […], paths: […]}`",
            ) from e
        for package in _parse(status):
            self._installed[package.name] = package
            for name in package.provides:
                self._provided.setdefault(name, package.name)
        try:
            lines = self._read("diversions").splitlines()
        except FileNotFoundError:
            lines = []
        self._diversions = {lines[at]: (lines[at + 1], lines[at + 2]) for at in range(0, len(lines) - 2, 3)}

    def choose(self, patterns: Sequence[str], dependencies: bool) -> list[str]:
        """Names of installed packages, with all they depend on where wanted. ActionError (`host-program-missing`)."""
        chosen: dict[str, None] = {}
        for pattern in patterns:
            found = fnmatch.filter(self._installed, pattern)
            if not found and pattern in self._provided:
                found = [self._provided[pattern]]
            if not found:
                raise self._missing(pattern)
            chosen.update(dict.fromkeys(sorted(found)))
        pending = list(chosen) if dependencies else []
        while pending:
            for name in self._needed(pending.pop()):
                if name not in chosen:
                    chosen[name] = None
                    pending.append(name)
        return list(chosen)

    def files(self, name: str) -> Iterator[str]:
        """Paths of a package's files and directories, where they are on this machine."""
        package = self._installed[name]
        for info in (f"info/{name}.list", f"info/{name}:{package.architecture}.list"):
            try:
                text = self._read(info)
                break
            except FileNotFoundError:
                continue
        else:
            raise ActionError("action-failed", f"dpkg has no list of the files of {name}")
        for path in text.splitlines():
            moved, by = self._diversions.get(path, ("", ""))
            if path not in ("", "/."):
                yield moved if moved and by != name else path

    def alternatives(self, files: Mapping[str, object]) -> Iterator[str]:
        """Links by which programs among `files` are called (update-alternatives(1)): `/usr/bin/x`, then
        `/etc/alternatives/x`.
        """
        try:
            names = sorted(os.listdir(f"{self.root}/alternatives"))
        except FileNotFoundError:
            return
        for name in names:
            for entry, link in _links(name, self._read(f"alternatives/{name}").splitlines()):
                target = f"{_ALTERNATIVES}/{entry}"
                if os.path.islink(link) and os.path.realpath(target) in files:
                    yield link
                    yield target

    def _needed(self, name: str) -> Iterator[str]:
        """What a package depends on: of alternatives, the first that is installed."""
        for choices in self._installed[name].depends:
            for choice in choices:
                found = choice if choice in self._installed else self._provided.get(choice)
                if found:
                    yield found
                    break

    def _missing(self, pattern: str) -> ActionError:
        close = difflib.get_close_matches(pattern, self._installed, 1)
        return ActionError(
            "host-program-missing",
            f"no package {pattern!r} is installed on this machine",
            hint=f"did you mean {close[0]}?" if close else f"apt-get install {pattern}",
        )

    def _read(self, name: str) -> str:
        path = f"{self.root}/{name}"
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
        self.watched.append(path)
        return text


def excluded(patterns: Sequence[str]) -> re.Pattern[str]:
    """An expression for paths that patterns name, or that lie below: `*` stays in a name, `**` does not."""
    parts = []
    for pattern in patterns:
        text = re.escape(pattern.rstrip("/")).replace(r"\*\*", ".*").replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
        parts.append(f"{text}(/.*)?")
    return re.compile("|".join(parts) or r"(?!)", re.DOTALL)


def _parse(status: str) -> Iterator[Package]:
    for paragraph in status.split("\n\n"):
        fields: dict[str, str] = {}
        for line in paragraph.split("\n"):
            key, colon, value = line.partition(": ")
            if colon and key in _FIELDS:
                fields[key] = value
        if fields.get("Status", "").endswith(" installed") and "Package" in fields:
            yield Package(
                name=fields["Package"],
                architecture=fields.get("Architecture", ""),
                provides=tuple(name for choices in _relations(fields.get("Provides", "")) for name in choices),
                depends=(*_relations(fields.get("Pre-Depends", "")), *_relations(fields.get("Depends", ""))),
            )


def _relations(text: str) -> tuple[tuple[str, ...], ...]:
    """`a (>= 1), b | c:any` → (("a",), ("b", "c"))."""
    result = []
    for part in text.split(","):
        names = (_NAME.match(choice.strip()) for choice in part.split("|"))
        choices = tuple(match[1] for match in names if match)
        if choices:
            result.append(choices)
    return tuple(result)


def _links(name: str, lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(name below /etc/alternatives, link) of a group: the master, then its slaves up to the first empty line."""
    if len(lines) < 2:
        return
    yield name, lines[1]
    for at in range(2, len(lines) - 1, 2):
        if not lines[at]:
            return
        yield lines[at], lines[at + 1]
