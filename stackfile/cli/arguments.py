"""Command lines as data: options, verbs, and the parser that turns argv into Arguments.

Own and small, because argparse knows no option that may stand before the verb and after it, and costs 10 ms.
Conventions are those of getopt_long: `-it`, `-p80:80`, `--name=value`, `--` ends the options.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stackfile.errors import UsageError

if TYPE_CHECKING:
    from stackfile.cli.context import Context

_TRUE = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True, slots=True)
class Option:
    """An option. Without `metavar` it is a flag; `repeat` gathers values; `negates` clears the flag of that name."""

    spellings: tuple[str, ...]
    help: str
    metavar: str = ""
    repeat: bool = False
    choices: tuple[str, ...] = ()
    negates: str = ""
    also: str = ""
    """Other words that argv may use for the same long option, e.g. `--memory` for `--mem`; not in the help."""

    @property
    def name(self) -> str:
        """The first long spelling without dashes; the short one where there is no long one."""
        long = [spelling for spelling in self.spellings if spelling.startswith("--")]
        return (long or list(self.spellings))[0].lstrip("-")


def option(spellings: str, text: str, metavar: str = "", **rest: object) -> Option:
    """`option("-f --file", "stack file", "FILE", repeat=True)`."""
    return Option(tuple(spellings.split()), text, metavar, **rest)  # type: ignore[arg-type]


class Arguments:
    """What a command line said, by option name. Getters are typed; a bad number is a UsageError."""

    def __init__(self) -> None:
        self.values: dict[str, list[str]] = {}
        self.flags: dict[str, bool] = {}
        self.positional: list[str] = []
        self.order: list[tuple[str, str]] = []
        """Every value option with its value, as given: for options whose order across names matters."""

    def given(self, name: str) -> bool:
        return name in self.values or name in self.flags

    def flag(self, name: str, default: bool = False) -> bool:
        return self.flags.get(name, default)

    def text(self, name: str, default: str = "") -> str:
        return self.values[name][-1] if name in self.values else default

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(self.values.get(name, ()))

    def integer(self, name: str) -> int | None:
        """The option's number, None when it was not given. Raises UsageError."""
        if name not in self.values:
            return None
        try:
            return int(self.text(name))
        except ValueError as error:
            raise UsageError("usage", f"--{name}: {self.text(name)!r} is not a number") from error

    def pairs(self, name: str) -> dict[str, str]:
        """`KEY=VALUE` of a repeated option; a KEY alone has the value "". Raises UsageError for an empty key."""
        result = {}
        for item in self.texts(name):
            key, _, value = item.partition("=")
            if not key:
                raise UsageError("usage", f"--{name}: {item!r} has no name before the =")
            result[key] = value
        return result


Run = Callable[["Context", Arguments], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """A verb of the command line.

    `trailing` verbs take no option after their first operand: the rest belongs to the command that they run.
    `runs_command` marks those with docker's exit codes: whatever fails on our side is 125.
    """

    name: str
    summary: str
    run: Run
    operands: str = ""
    options: tuple[Option, ...] = ()
    minimum: int = 0
    maximum: int | None = 0
    trailing: bool = False
    runs_command: bool = False
    text: str = ""


class Parser:
    """Parses argv against a table of options; later tables give way to earlier ones where spellings collide."""

    def __init__(self, *tables: Iterable[Option]) -> None:
        self.options: dict[str, tuple[int, Option]] = {}
        for level, table in enumerate(tables):
            for item in table:
                for spelling in (*item.spellings, *item.also.split()):
                    self.options.setdefault(spelling, (level, item))
        self.results = [Arguments() for _ in tables]

    def parse(self, argv: Sequence[str], *, trailing: bool) -> list[str]:
        """Fill `results`; returns the operands. With `trailing` everything from the first operand on is operands.

        Raises UsageError for an unknown option, a missing or an unwanted value.
        """
        operands: list[str] = []
        rest = list(argv)
        while rest:
            word = rest.pop(0)
            if word == "--":
                return operands + rest
            if word.startswith("--"):
                self._long(word, rest)
            elif word.startswith("-") and word != "-":
                self._short(word, rest)
            else:
                operands.append(word)
                if trailing:
                    return operands + rest
        return operands

    def _long(self, word: str, rest: list[str]) -> None:
        spelling, equals, value = word.partition("=")
        level, item = self._find(spelling)
        if item.metavar:
            self._value(level, item, spelling, value if equals else _take(spelling, rest))
        elif not equals:
            self._flag(level, item, True)
        elif value.lower() in _TRUE:
            self._flag(level, item, _TRUE[value.lower()])
        else:
            raise UsageError("usage", f"{spelling} takes no value, not {value!r}")

    def _short(self, word: str, rest: list[str]) -> None:
        letters = word[1:]
        while letters:
            spelling, letters = "-" + letters[0], letters[1:]
            level, item = self._find(spelling)
            if item.metavar:
                value = letters.removeprefix("=") if letters else _take(spelling, rest)
                self._value(level, item, spelling, value)
                return
            self._flag(level, item, True)

    def _find(self, spelling: str) -> tuple[int, Option]:
        found = self.options.get(spelling)
        if found is None:
            raise UsageError("usage", f"unknown option {spelling}", hint=_nearest(spelling, self.options))
        return found

    def _flag(self, level: int, item: Option, value: bool) -> None:
        if item.negates:
            self.results[level].flags[item.negates] = not value
        else:
            self.results[level].flags[item.name] = value

    def _value(self, level: int, item: Option, spelling: str, value: str) -> None:
        if item.choices and value not in item.choices:
            raise UsageError("usage", f"{spelling}: {value!r} is none of {', '.join(item.choices)}")
        result = self.results[level]
        result.order.append((item.name, value))
        if item.repeat:
            result.values.setdefault(item.name, []).append(value)
        else:
            result.values[item.name] = [value]


def _take(spelling: str, rest: list[str]) -> str:
    if not rest:
        raise UsageError("usage", f"{spelling} needs a value")
    return rest.pop(0)


def _nearest(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    matches = get_close_matches(word, list(known), 1)
    return f"did you mean {matches[0]}?" if matches else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that names the known word most like `word`, "" when none is like it."""
    return _nearest(word, known)


def check_operands(verb: Verb, operands: Sequence[str]) -> None:
    """Raises UsageError when there are too few or too many."""
    usage = f"usage: stackfile {verb.name} {verb.operands}".rstrip()
    if len(operands) < verb.minimum:
        what = f"{verb.operands} is missing" if verb.minimum == 1 else "too few arguments"
        raise UsageError("usage", f"{verb.name}: {what}", hint=usage)
    if verb.maximum is not None and len(operands) > verb.maximum:
        raise UsageError("usage", f"{verb.name}: unexpected argument {operands[verb.maximum]!r}", hint=usage)
