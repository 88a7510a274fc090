"""Everything a `host:` step takes, as a tree of files with one digest. Runs in a worker process: it reads a lot."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stackfile import digest as digests
from stackfile.build.host import accounts, dpkg, python
from stackfile.build.host.accounts import Accounts
from stackfile.build.host.extras import extras
from stackfile.build.host.files import Collector, HostFile, Signature, look
from stackfile.build.host.loader import CACHE, Loader
from stackfile.errors import ActionError
from stackfile.model.stack import Step

SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
RULES = 1
"""Counts changes of what these modules take along, so that old cache rows do not hide them."""

_SHEBANG = 256
_DEEPEST_SCRIPT = 4
_SERVICES = ("libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2", "libgcc_s.so.1")
"""Libraries that the C library opens by name, without saying so: name services, and unwinding at thread exit."""
_MERGED = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTree:
    """What a host step brings, and the signatures of all that was looked at to find it."""

    digest: str
    files: tuple[HostFile, ...]
    watched: dict[str, Signature]
    aliases: dict[str, str] = field(default_factory=dict)
    programs: int = 0
    passwd: tuple[str, ...] = ()
    """Lines that the image's /etc/passwd gets where it has not such a user; `group` likewise."""
    group: tuple[str, ...] = ()


def resolve(
    programs: Sequence[str],
    paths: Sequence[str],
    hashed: Mapping[str, tuple[Signature, str]] | None = None,
    search: str = SEARCH,
) -> HostTree:
    """As `resolve_step` of a step that names programs and paths alone."""
    return resolve_step(Step(kind="host", programs=tuple(programs), paths=tuple(paths)), hashed, search)


def resolve_step(
    step: Step, hashed: Mapping[str, tuple[Signature, str]] | None = None, search: str = SEARCH
) -> HostTree:
    """Find and hash everything. ActionError: `host-program-missing` for a program, path, package or user that is not
    here, `action-failed` for a file that changes meanwhile or a library that is missing.
    """
    resolution = _Resolution(Collector(hashed=hashed or {}), search)
    for name in step.programs:
        resolution.program(name)
    for path in step.paths:
        resolution.path(path)
    if step.packages:
        resolution.packages(step)
    if step.packages or step.users:
        resolution.accounts(step.users)
    return resolution.finish(len(step.programs))


def hashed_before(tree: HostTree) -> dict[str, tuple[Signature, str]]:
    """Digests that a new resolution may keep where the signature is the same."""
    return {file.path: (tree.watched[file.path], file.digest) for file in tree.files if file.path in tree.watched}


class _Resolution:
    def __init__(self, collector: Collector, search: str) -> None:
        self._collector = collector
        self._search = search.split(":")
        self._loader = Loader()
        self._done: set[str] = set()
        self._libraries: set[str] = set()
        self._accounts = Accounts()

    def program(self, name: str, depth: int = 0) -> None:
        """Take a program by name or path, with all it needs."""
        path = self._find(name)
        real = self._collector.bring(path)
        if real in self._done:
            return
        self._done.add(real)
        if self._loader.elf(real) is not None:
            self._closure(real)
        else:
            self._script(real, depth)
        if python.is_interpreter(real):
            self._python(real)

    def path(self, path: str) -> None:
        """Take a file or directory as it is."""
        if not path.startswith("/"):
            raise ActionError("host-program-missing", f"host path {path!r} is not absolute")
        try:
            self._collector.bring_tree(path)
        except (FileNotFoundError, NotADirectoryError) as e:
            raise ActionError("host-program-missing", f"there is no {path} on this machine") from e

    def packages(self, step: Step) -> None:
        """Take the files of packages as they are, and what their programs and modules load."""
        installed = dpkg.Packages()
        left_out = dpkg.excluded(step.exclude)
        taken: dict[str, str] = {}
        for name in installed.choose(step.packages, step.dependencies):
            for path in installed.files(name):
                if path not in taken and not left_out.fullmatch(path):
                    taken[path] = self._package_file(path)
        for link in installed.alternatives({real: None for real in taken.values() if real}):
            if not left_out.fullmatch(link):
                self._package_file(link)
        for real in dict.fromkeys(taken.values()):
            if real and self._loads(real):
                self._closure(real, optional=True)
        for path in installed.watched:
            self._collector.watched[path] = look(path)

    def _package_file(self, path: str) -> str:
        """Take one path of a package; returns where it really is, "" for links and what is not there."""
        if self._collector.absent(path):
            return ""
        if os.path.islink(path):
            parent = self._collector.bring(os.path.dirname(path))
            self._collector.link(os.path.join(parent, os.path.basename(path)))
            return ""
        if os.path.isdir(path):
            self._collector.bring_directory(path)
            return ""
        return self._collector.bring(path, owner=True)

    def _loads(self, real: str) -> bool:
        """Whether a file is a program or a module of one."""
        file = self._collector.files[real]
        named = ".so" in os.path.basename(real)
        return file.type == "file" and bool(named or file.mode & 0o111) and self._loader.elf(real) is not None

    def accounts(self, users: Sequence[str]) -> None:
        """Take users by name, with their homes, and those that files of packages belong to."""
        files = self._collector.files.values()
        found = accounts.collect(users, {file.uid for file in files}, {file.gid for file in files})
        for home in found.homes:
            if home.startswith("/") and home != "/" and os.path.isdir(home):
                self._collector.bring_directory(home)
        for path in (accounts.PASSWD, accounts.GROUP):
            self._collector.watched[path] = look(path)
        self._accounts = found

    def finish(self, programs: int) -> HostTree:
        """Add what every root has, and sum up."""
        dynamic = bool(self._libraries)
        for path in _MERGED:
            if os.path.islink(path):
                self._collector.link(path)
        for extra in extras(self._collector, dynamic=dynamic):
            self._collector.files.setdefault(extra.path, extra)
        files = tuple(self._collector.files[path] for path in sorted(self._collector.files))
        return HostTree(
            digest=digest_of(files, self._accounts),
            files=files,
            watched=self._collector.watched,
            aliases=self._collector.aliases,
            programs=programs,
            passwd=self._accounts.passwd,
            group=self._accounts.group,
        )

    def _find(self, name: str) -> str:
        if "/" in name:
            if os.path.isfile(name) and name.startswith("/"):
                return name
            raise ActionError("host-program-missing", f"there is no program {name} on this machine")
        for directory in self._search:
            path = f"{directory}/{name}"
            if os.path.isfile(path) and os.access(path, os.X_OK):
                return path
            self._collector.absent(path)
        raise ActionError(
            "host-program-missing",
            f"there is no program {name!r} on this machine",
            cause=f"not in {':'.join(self._search)}",
            hint=f"install it, or name it by its path in `host: {{programs: [/path/to/{name}]}}`",
        )

    def _script(self, path: str, depth: int) -> None:
        """A text file with `#!`: its interpreter, and what `env` would start (execve(2))."""
        with open(path, "rb") as file:
            line = file.read(_SHEBANG).split(b"\n", 1)[0]
        words = os.fsdecode(line[2:]).split() if line.startswith(b"#!") else []
        if not words or depth > _DEEPEST_SCRIPT:
            return
        self.program(words[0], depth + 1)
        if os.path.basename(words[0]) == "env":
            named = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
            for name in named[:1]:
                self.program(name, depth + 1)

    def _python(self, real: str) -> None:
        found = python.library(real)
        if found is None:
            return
        for module in python.bring_library(self._collector, *found):
            # A module whose library is not installed does not work here either.
            self._closure(module, optional=True)

    def _closure(self, path: str, *, optional: bool = False, inherited: tuple[str, ...] = ()) -> None:
        """Take the loader and the libraries that an ELF file needs, and theirs."""
        parsed = self._loader.elf(path)
        assert parsed is not None, path
        if parsed.interpreter:
            self._collector.bring(parsed.interpreter)
        for name in parsed.needed:
            library = self._loader.find(name, parsed, path, inherited)
            if library is None:
                if optional:
                    continue
                raise ActionError("action-failed", f"{path} needs the library {name}, which is not on this machine")
            self._library(library.path, name, cached=library.cached, optional=optional)
        if parsed.needed and CACHE not in self._collector.watched:
            # A library that is installed later may be found before the one that is found now.
            self._collector.watched[CACHE] = look(CACHE)

    def _library(self, path: str, name: str, *, cached: bool, optional: bool) -> None:
        real = self._collector.bring(path)
        if cached:
            self._reachable(name, path)
        if real in self._libraries:
            return
        self._libraries.add(real)
        self._closure(real, optional=optional)
        if name.startswith("libc.so"):
            self._name_services(real)

    def _name_services(self, libc: str) -> None:
        parsed = self._loader.elf(libc)
        assert parsed is not None, libc
        for name in _SERVICES:
            library = self._loader.find(name, parsed, libc)
            if library is not None:
                self._library(library.path, name, cached=library.cached, optional=True)

    def _reachable(self, name: str, path: str) -> None:
        """A link beside the C library, where the loader looks without the cache that stays behind."""
        libc = next((item for item in self._libraries if os.path.basename(item).startswith("libc.so")), "")
        directory = os.path.dirname(libc) if libc else "/usr/lib"
        link = HostFile(path=f"{directory}/{name}", type="symlink", mode=0o777, target=path)
        self._collector.files.setdefault(link.path, link)


def digest_of(files: Sequence[HostFile], extra: Accounts) -> str:
    """Digest of what the image gets: times and inodes of this machine do not count."""
    lines = [line_of(file) for file in files] + [*extra.passwd, *extra.group]
    return digests.sha256(b"\0".join(line.encode("utf-8", "surrogateescape") for line in lines))


def line_of(file: HostFile) -> str:
    """One file in one line: everything that counts."""
    content = file.digest or (digests.sha256(file.data.encode()) if file.data else "")
    return "\n".join(
        (file.path, file.type, f"{file.mode:o} {file.uid} {file.gid}", content, file.target, file.capability,
         file.interpreter)
    )  # fmt: skip
