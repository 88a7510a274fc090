"""The project's name, variables and profiles: what the surroundings of the files decide."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping as Environ
from collections.abc import Sequence

from stackfile.errors import Place, StackError
from stackfile.language.document import read_bytes
from stackfile.language.nodes import Mapping, Scalar, kind_of
from stackfile.language.options import LoadOptions, Reader
from stackfile.language.template import Engine
from stackfile.language.tracked import Tracker
from stackfile.language.validate import PROJECT_NAME
from stackfile.language.variables import Variable, Variables, parse_env_file

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
"""Go's `strconv.ParseBool`."""


def first_variables(options: LoadOptions, reader: Reader) -> dict[str, Variable]:
    """The env files that are read before the stack's files are known: they may name those (COMPOSE_FILE).

    Raises StackError (file-not-found, and those of env files).
    """
    named = _named_env_files(options)
    if named is not None:
        at = Place("--env-file" if options.env_files else "COMPOSE_ENV_FILES")
        return env_files(named, os.path.abspath(options.directory), options.environ, reader, at)
    if options.files:
        return {}
    return _default_env_file(options, os.path.join(options.directory, options.project_directory or ""), reader, {})


def variables_of(
    options: LoadOptions, first: dict[str, Variable], directory: str, reader: Reader, tracker: Tracker
) -> Variables:
    """The caller's environment over the env files: those of the options, else `.env` of where the caller stands (if
    no file is named) over that of the project directory."""
    if _named_env_files(options) is None:
        first = {**_default_env_file(options, directory, reader, first), **first}
    return Variables(options.environ, first, tracker)


def _named_env_files(options: LoadOptions) -> tuple[str, ...] | None:
    named = options.env_files or tuple(filter(None, options.environ.get("COMPOSE_ENV_FILES", "").split(",")))
    return named or None


def _default_env_file(
    options: LoadOptions, directory: str, reader: Reader, known: dict[str, Variable]
) -> dict[str, Variable]:
    if options.environ.get("COMPOSE_DISABLE_ENV_FILE") in _TRUE:
        return {}
    environ = {name: variable.value for name, variable in known.items()} | dict(options.environ)
    return env_files(None, os.path.abspath(directory), environ, reader)


def env_files(
    names: Sequence[str] | None, directory: str, environ: Environ[str, str], reader: Reader, at: Place | None = None
) -> dict[str, Variable]:
    """The variables of env files, below `directory`; of `.env` where there is one, when `names` is None. `at` is what
    named them."""
    found: dict[str, Variable] = {}
    for name in names if names is not None else (".env",):
        path = os.path.normpath(os.path.join(directory, name))
        if names is None and not reader.exists(path):
            continue
        text = read_bytes(path, name, reader, at).decode("utf-8-sig", "replace")
        lookup: Environ[str, str] = {**{key: entry.value for key, entry in found.items()}, **environ}
        found.update({key: entry for key, entry in parse_env_file(text, name, lookup).items() if entry})
    return found


def name_of(
    options: LoadOptions, document: Mapping, directory: str, variables: Variables, engine: Engine, compose: bool
) -> str:
    """`-p`, COMPOSE_PROJECT_NAME, `name:`, else the directory's name as Compose normalises it. A `name:` is normalised
    too where all is written for Compose.

    Raises StackError (bad-name).
    """
    given = options.project_name or variables.get("COMPOSE_PROJECT_NAME") or ""
    if given:
        return _checked(given, Place("-p" if options.project_name else "COMPOSE_PROJECT_NAME"))
    node = document.get("name")
    if node is not None and not isinstance(node, Mapping):
        value = engine.scalar(node, {"env": variables})
        if compose and isinstance(value, Scalar):
            if not isinstance(value.value, str):
                raise StackError("bad-type", f"a name is text, not {kind_of(value)}", at=value.place)
            if not value.value or normalise(value.value):
                return normalise(value.value or os.path.basename(directory))
        if isinstance(value, Scalar) and value.value is not None:
            return _checked(value.value if isinstance(value.value, str) else value.text, value.place)
    normalised = normalise(os.path.basename(directory))
    if not normalised:
        hint = "give one with -p NAME or `name:`"
        raise StackError("bad-name", f"no project name in {directory!r}", at=document.place, hint=hint)
    return normalised


def normalise(text: str) -> str:
    """A directory's name as a project's: lower case, only `a-z0-9_-`, a letter or digit first."""
    return re.sub(r"[^a-z0-9_-]", "", text.lower()).lstrip("_-")


def _checked(name: str, place: Place) -> str:
    if not PROJECT_NAME.fullmatch(name):
        close = normalise(name)
        hint = f"{close} would be one" if close else "lower-case letters, digits, `_` and `-`"
        raise StackError("bad-name", f"{name!r} is no project name", at=place, hint=hint)
    return name


def profiles_of(options: LoadOptions, variables: Variables, own: list[str]) -> frozenset[str]:
    """Enabled profiles: the command line's, else COMPOSE_PROFILES; and the environment's own."""
    named = options.profiles or [part.strip() for part in (variables.get("COMPOSE_PROFILES") or "").split(",")]
    return frozenset((*named, *own))
