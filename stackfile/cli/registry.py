"""Finds the verbs: one module each in `stackfile.cli.verbs`, imported only when it is run.

A file name is the verb's name: `up.py` is `up`, `container_run.py` is `container run`. A new verb is a new file.
"""

from __future__ import annotations

import os
from importlib import import_module

from stackfile.cli import verbs
from stackfile.cli.arguments import Verb, nearest
from stackfile.errors import UsageError

ALIASES = {"container ps": "container ls"}


def names() -> list[str]:
    """The names of all verbs, sorted."""
    files = (name for directory in verbs.__path__ for name in os.listdir(directory))
    stems = (name.removesuffix(".py") for name in files if name.endswith(".py") and not name.startswith("_"))
    return sorted(stem.replace("_", " ") for stem in stems)


def groups(known: list[str]) -> set[str]:
    """First words that stand before a second one: container, daemon, system."""
    return {name.partition(" ")[0] for name in known if " " in name}


def load(name: str) -> Verb:
    """The verb of that name."""
    module = import_module(f"{verbs.__name__}.{name.replace(' ', '_')}")
    verb: Verb = module.register()
    assert verb.name == name
    return verb


def find(words: list[str]) -> tuple[str, list[str]]:
    """The verb that argv names, and what follows it. Raises UsageError (`unknown-verb`)."""
    known = names()
    first = words[0]
    if first in groups(known):
        rest = words[1:]
        if rest and not rest[0].startswith("-"):
            name = f"{first} {rest[0]}"
            name = ALIASES.get(name, name)
            if name in known:
                return name, rest[1:]
            raise _unknown(name, known)
        raise UsageError("unknown-verb", f"{first}: which verb?", hint=subverbs(first, known))
    if first in known:
        return first, words[1:]
    raise _unknown(first, known)


def subverbs(group: str, known: list[str]) -> str:
    """`stackfile container inspect | ls | run`, a hint."""
    return f"stackfile {group} " + " | ".join(name.partition(" ")[2] for name in known if name.startswith(group + " "))


def _unknown(name: str, known: list[str]) -> UsageError:
    hint = nearest(name, known)
    return UsageError("unknown-verb", f"no such verb: {name}", hint=hint or "stackfile help lists the verbs")
