"""The project's name, variables and profiles: what the surroundings of the files decide."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping as Environ
from collections.abc import Sequence

from stackfile.errors import Place, StackError
from stackfile.language.document import read_bytes
from stackfile.language.nodes import Mapping, Scalar
from stackfile.language.options import LoadOptions, Reader
from stackfile.language.template import Engine
from stackfile.language.tracked import Tracker
from stackfile.language.validate import PROJECT_NAME
from stackfile.language.variables import Variable, Variables, parse_env_file


def variables_of(options: LoadOptions, directory: str, reader: Reader, tracker: Tracker) -> Variables:
    """The caller's environment over the env files: those of the options, else `.env` of the project directory."""
    named = options.env_files or tuple(filter(None, options.environ.get("COMPOSE_ENV_FILES", "").split(",")))
    base = os.path.abspath(options.directory) if named else directory
    found = env_files(named or None, base, options.environ, reader)
    return Variables(options.environ, found, tracker)


def env_files(
    names: Sequence[str] | None, directory: str, environ: Environ[str, str], reader: Reader
) -> dict[str, Variable]:
    """The variables of env files, below `directory`; of `.env` where there is one, when `names` is None."""
    found: dict[str, Variable] = {}
    for name in names if names is not None else (".env",):
        path = os.path.normpath(os.path.join(directory, name))
        if names is None and not reader.exists(path):
            continue
        text = read_bytes(path, name, reader).decode("utf-8-sig", "replace")
        lookup: Environ[str, str] = {**{key: entry.value for key, entry in found.items()}, **environ}
        found.update({key: entry for key, entry in parse_env_file(text, name, lookup).items() if entry})
    return found


def name_of(options: LoadOptions, document: Mapping, directory: str, variables: Variables, engine: Engine) -> str:
    """`-p`, COMPOSE_PROJECT_NAME, `name:`, else the directory's name as Compose normalises it.

    Raises StackError (bad-name).
    """
    given = options.project_name or variables.get("COMPOSE_PROJECT_NAME") or ""
    if given:
        return _checked(given, Place("-p" if options.project_name else "COMPOSE_PROJECT_NAME"))
    node = document.get("name")
    if node is not None and not isinstance(node, Mapping):
        value = engine.scalar(node, {"env": variables})
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
    named = options.profiles or tuple(filter(None, (variables.get("COMPOSE_PROFILES") or "").split(",")))
    return frozenset((*named, *own))
