"""What a verb works with: the console, the global options, the caller's environment, and ways to stack and engine."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stackfile.cli.arguments import Arguments
from stackfile.cli.output.console import Console
from stackfile.errors import ActionError, NotFoundError, Place, StackfileError, UsageError

if TYPE_CHECKING:
    from stackfile.api import Client, Form, LoadOptions, Reader, Warned
    from stackfile.model.container import ContainerRecord
    from stackfile.model.observed import Project
    from stackfile.model.stack import Stack

_NAME = r"(?m)^name:[ \t]+([\"']?)([a-z0-9][a-z0-9_-]*)\1[ \t]*(?:#.*)?$"
_HEAD = 1 << 20
"""Characters of a file in which its name is looked for."""


class Context:
    """One command. `command` is its command line as it was typed, for hints that repeat it."""

    def __init__(
        self, console: Console, options: Arguments, environ: Mapping[str, str], directory: str, command: Sequence[str]
    ) -> None:
        self.console = console
        self.options = options
        self.environ = environ
        self.directory = directory
        self.command = tuple(command)
        self._client: Client | None = None

    # ---- the stack's files

    def load_options(self, services: Sequence[str] = (), scale: Mapping[str, int] | None = None) -> LoadOptions:
        from stackfile.api import LoadOptions

        given = self.options
        return LoadOptions(
            files=given.texts("file"),
            project_name=given.text("project-name"),
            environment=given.text("environment"),
            values_files=given.texts("values"),
            sets=tuple((name, value) for name, value in given.order if name.startswith("set")),
            env_files=given.texts("env-file"),
            profiles=given.texts("profile"),
            services=tuple(services),
            project_directory=given.text("project-directory"),
            directory=self.directory,
            environ=self.environ,
            scale=dict(scale or {}),
        )

    def stack(
        self,
        services: Sequence[str] = (),
        scale: Mapping[str, int] | None = None,
        read: Reader | None = None,
        *,
        locked: bool = False,
    ) -> Stack:
        """Load the stack file; its warnings go to stderr. Raises StackError, UsageError (`no-such-service`).

        `locked`: with the content of images that the lock file says; RefusedError (`lock-differs`) where it lacks one.
        """
        from stackfile import api

        warnings: list[Warned] = []
        options = self.load_options(services, scale)
        stack = api.load(options, warnings=warnings, read=read)
        self._tell(warnings)
        check_services(stack, services)
        if locked:
            from stackfile.api import locks

            file = locks.LockFile.of(stack, options)
            stack = locks.locked(stack, file.read(read), file)
        return stack

    def configuration(self, form: Form | None = None) -> tuple[Stack, dict[str, Any]]:
        """The stack and its canonical form, for a look at it: what only an engine needs may be missing."""
        from stackfile import api

        warnings: list[Warned] = []
        services = form.services if form is not None else ()
        found = api.configuration(self.load_options(services), warnings=warnings, form=form)
        self._tell(warnings)
        check_services(found[0], services)
        return found

    def _tell(self, warnings: Sequence[Warned]) -> None:
        for warning in warnings:
            self.warn(warning.message, warning.at)

    def tell_ignored(self, stack: Stack) -> None:
        """Warn of the keys that are accepted and have no effect (`plan` has them as notes)."""
        for item in stack.ignored:
            key = item.path[1:].replace("/", ".")
            why = f": {item.why}" if item.why else ""
            self.warn(f"{item.address}: {key} has no effect{why}", item.at)

    def warn(self, message: str, at: Place | None = None) -> None:
        """A warning, on stderr."""
        place = f" ({at})" if at else ""
        self.console.note(self.console.paint("warning:", "yellow", self.console.err) + f" {message}{place}")

    # ---- the engine

    def client(self, *, start: bool = True, check: bool = True) -> Client:
        """The connection to the daemon, which is started where it may be. Raises EngineError."""
        if self._client is None:
            from stackfile import api

            host = self.options.text("host") or None
            self._client = api.connect(
                host, start=start, check=check, environ=self.environ, command=self.command, told=self.console.note
            )
        return self._client

    def fresh_client(self) -> Client:
        """A connection of its own, for another thread or beside a stream. The caller closes it."""
        from stackfile import api

        return api.connect(self.options.text("host") or None, start=False, check=False, environ=self.environ)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    @property
    def parallel(self) -> int:
        """--parallel; 0 leaves it to the engine."""
        return self.options.integer("parallel") or 0

    # ---- the applied project

    def find_project(self) -> Project | None:
        """The applied project that the command means: by -p, else by the directory of its files.

        No file is read: what runs can be looked at and stopped whatever became of the file. Raises ActionError
        (`ambiguous`) when several projects come from one directory.
        """
        name = self.options.text("project-name") or self.environ.get("COMPOSE_PROJECT_NAME", "")
        if name:
            return self._named(name)
        directories = self._directories()
        projects = self.client().projects(directories)
        for directory in directories:
            matches = [project for project in projects if os.path.realpath(project.directory) == directory]
            matches = self._of_files(matches)
            if len(matches) > 1:
                names = ", ".join(sorted(project.name for project in matches))
                raise ActionError("ambiguous", f"several projects come from {directory}: {names}", hint="say -p NAME")
            if matches:
                return matches[0]
        return None

    def _named(self, name: str) -> Project | None:
        try:
            return self.client().project(name)
        except NotFoundError:
            return None

    def project(self) -> Project:
        """As `find_project`; raises NotFoundError when it was never applied."""
        found = self.find_project()
        if found is None:
            name = self.options.text("project-name") or self.environ.get("COMPOSE_PROJECT_NAME", "")
            known = ", ".join(sorted(project.name for project in self.client().projects()))
            hint = f"known projects: {known} (-p NAME)" if known else "stackfile up creates it"
            raise NotFoundError("project", name or f"none of {self._directories()[0]}", hint=hint)
        return found

    def services_of(self, project: Project, names: Sequence[str]) -> tuple[str, ...]:
        """Service names for what the command line says: groups become their members. Raises UsageError."""
        if not names or project.stack is None:
            return tuple(names)
        check_services(project.stack, names)
        return expand(project.stack, names)

    def containers_of(self, project: Project, names: Sequence[str] = ()) -> list[ContainerRecord]:
        """The project's containers of these services (all without names), sorted by service and number."""
        from stackfile.cli.output.containers import number_of, service_of

        services = self.services_of(project, names)
        found = [
            record
            for record in self.client().containers(project.name)
            if not services or service_of(record) in services
        ]
        return sorted(found, key=lambda record: (service_of(record), number_of(record), record.spec.name))

    def _directories(self) -> list[str]:
        """Where the project's files may lie: as said, or the current directory and those above it."""
        if directory := self.options.text("project-directory"):
            return [os.path.realpath(os.path.join(self.directory, directory))]
        files = self.options.texts("file")
        if files and files[0] != "-":
            return [os.path.realpath(os.path.dirname(os.path.join(self.directory, files[0])))]
        here = os.path.realpath(self.directory)
        above = [here]
        while above[-1] != "/":
            above.append(os.path.dirname(above[-1]))
        return above

    def _of_files(self, projects: list[Project]) -> list[Project]:
        """Those that the -f files mean: the one whose name they say, else those that were loaded from them where
        there are several to tell apart; without -f those whose file is found without."""
        paths = [path for path in self.options.texts("file") if path != "-"]
        named = next(filter(None, (_said_name(os.path.join(self.directory, path)) for path in reversed(paths))), "")
        if named:
            return [project for project in projects if project.name == named]
        if len(projects) < 2:
            return projects
        loaded = [(project, _base_names(project)) for project in projects]
        if not paths:
            from stackfile.api.stacks import file_names

            found = file_names()
            return [project for project, names in loaded if names[:1] and names[0] in found] or projects
        files = {os.path.basename(path) for path in paths}
        # With what they include, or an environment's file, or without.
        exact = [project for project, names in loaded if set(names) == files]
        return exact or [project for project, names in loaded if files <= set(names)]


def _base_names(project: Project) -> list[str]:
    """Of the files that it was loaded from, the first -f file first."""
    return [os.path.basename(path) for path in project.stack.files] if project.stack is not None else []


def _said_name(path: str) -> str:
    """The `name:` of a stack file, which need not be valid or there; "" where it says none, or not plainly."""
    import re

    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            found = re.search(_NAME, file.read(_HEAD))
    except OSError:
        return ""
    return found[2] if found else ""


def expand(stack: Stack, names: Sequence[str]) -> tuple[str, ...]:
    """Service names; the name of a `for_each` group stands for its members."""
    result: list[str] = []
    for name in names:
        result.extend(stack.groups.get(name, (name,)))
    return tuple(dict.fromkeys(result))


def check_services(stack: Stack, names: Sequence[str]) -> None:
    """Raises UsageError (`no-such-service`) for a name that is neither a service nor a group of the stack."""
    from stackfile.cli.arguments import nearest

    for name in names:
        if name not in stack.services and name not in stack.groups:
            known = [*stack.services, *stack.groups]
            hint = nearest(name, known) or f"services: {', '.join(sorted(stack.services))}"
            raise UsageError("no-such-service", f"no such service: {name}", hint=hint)


def exit_of(error: StackfileError, runs_command: bool) -> int:
    """The exit code of an error; where a command is run, docker's: 127 not found, 126 not executable, 125 ours."""
    if not runs_command:
        return error.exit_code
    return {"command-not-found": 127, "command-not-executable": 126}.get(error.reason, 125)
