"""Ids and the names of containers that were given none."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Container, Mapping
from random import Random
from typing import TypeVar

from stackfile.errors import ActionError, NotFoundError

T = TypeVar("T")

_MOODS = """able amber ample arctic balmy brave brisk bright calm candid careful cheerful clever cosy curious deft
eager early earnest fair fearless festive fine fluent fond frank gentle glad golden graceful hardy helpful honest
humble jolly joyful keen kind lively loyal lucid lucky mellow merry mild modest neat nimble noble patient placid playful
polite proud quick quiet ready robust serene sharp silent simple sincere smooth steady sturdy sunny swift tidy upbeat
vivid warm wise witty zesty"""
_PEOPLE = """abel archimedes babbage banach bell bohr boole bose brahe cantor cauchy cori curie darwin dijkstra dirac
euclid euler faraday fermat fermi feynman franklin galileo galois gauss germain goodall hamilton hawking hertz hilbert
hopper hypatia jackson joliot kepler khorana knuth kovalevskaya lagrange lamarr leibniz lovelace maxwell meitner
mendel mirzakhani morse napier newton nightingale nobel noether pascal pasteur perlman planck poincare ptolemy ramanujan
ritchie rubin sagan shannon sinoussi swartz tesla thompson torvalds turing varahamihira villani volhard wiles wing
wozniak wu yalow"""

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")


def new_id() -> str:
    """64 hex digits that no one has seen before."""
    return secrets.token_hex(32)


def random_name(taken: Container[str], choose: Random) -> str:
    """A name such as `brave_hopper` that is not in `taken`."""
    moods, people = _MOODS.split(), _PEOPLE.split()
    for attempt in range(1000):
        name = f"{choose.choice(moods)}_{choose.choice(people)}" + (str(choose.randrange(10**4)) if attempt > 3 else "")
        if name not in taken:
            return name
    raise ActionError("name-taken", "no free random name was found")


def check_name(kind: str, name: str) -> None:
    """Raise ActionError (`bad-request`) for a name that Docker would not take either."""
    if not _NAME.fullmatch(name) or len(name) > 255:
        raise ActionError(
            "bad-request",
            f"invalid {kind} name {name!r}",
            hint="letters, digits, _ . -, beginning with a letter or digit",
        )


def resolve(kind: str, ref: str, things: Mapping[str, T], name: Callable[[T], str]) -> T:
    """The thing that `ref` means: id, name, or unique prefix of an id.

    Raises NotFoundError, or ActionError (`ambiguous`).
    """
    if ref in things:
        return things[ref]
    for thing in things.values():
        if name(thing) == ref:
            return thing
    found = [identity for identity in things if ref and identity.startswith(ref)]
    if len(found) > 1:
        raise ActionError("ambiguous", f"{kind} {ref} is ambiguous", cause=f"{len(found)} ids begin so")
    if not found:
        raise NotFoundError(kind, ref)
    return things[found[0]]
