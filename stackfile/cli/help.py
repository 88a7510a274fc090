"""Help texts: the page of all verbs, a page a verb, exit codes, environment variables."""

from __future__ import annotations

import os

from stackfile.cli import registry
from stackfile.cli.arguments import Option, Verb

_VARIABLES = (
    ("STACKFILE_HOST", "", "daemon to speak to: a socket's path or a URL"),
    ("STACKFILE_ENVIRONMENT", "", "environment of the stack file (-E)"),
    ("STACKFILE_DETACH_KEYS", "", "keys that detach from a terminal (--detach-keys)"),
    ("COMPOSE_PROJECT_NAME", "", "project name (-p)"),
    ("COMPOSE_PROFILES", "", "profiles, separated by commas (--profile)"),
    ("NO_COLOR", "", "no colours when set"),
)
_COLUMN = 30


def text(words: list[str]) -> str:
    """The page for `words`: nothing, a topic, a verb, or a group of verbs. Raises UsageError (`unknown-verb`)."""
    if not words:
        return _file("help.txt")
    if words[0] == "exit-codes":
        return _file("exit-codes.txt")
    if words[0] == "environment":
        return _environment()
    known = registry.names()
    if len(words) == 1 and words[0] in registry.groups(known):
        return _group(words[0], known)
    name, _ = registry.find(words)
    return verb_text(registry.load(name))


def verb_text(verb: Verb) -> str:
    """Usage, summary and options of a verb."""
    usage = " ".join(part for part in ("stackfile", verb.name, "[OPTIONS]", verb.operands) if part)
    lines = [f"Usage: {usage}", "", verb.summary]
    if verb.text:
        lines += ["", verb.text]
    if verb.options:
        lines += ["", "Options"]
        for item in verb.options:
            lines += _option(item)
    lines += ["", "The options of `stackfile --help` work here too, but for spellings that are taken above."]
    return "\n".join(lines)


def _option(item: Option) -> list[str]:
    short = [spelling for spelling in item.spellings if not spelling.startswith("--")]
    long = [spelling for spelling in item.spellings if spelling.startswith("--")]
    words = ", ".join(short + long)
    head = ("  " if short else "      ") + words + (f" {item.metavar}" if item.metavar else "")
    if len(head) < _COLUMN:
        return [f"{head:<{_COLUMN}} {item.help}"]
    return [head, " " * (_COLUMN + 1) + item.help]


def _group(name: str, known: list[str]) -> str:
    lines = [f"Usage: stackfile {name} VERB [OPTIONS] [ARGS]", ""]
    verbs = [registry.load(full) for full in known if full.startswith(name + " ")]
    return "\n".join([*lines, *(f"  {verb.name.partition(' ')[2]:<12} {verb.summary}" for verb in verbs)])


def _environment() -> str:
    from stackfile.settings import TABLE

    rows = [*_VARIABLES, *((row.variable, row.default, row.help) for row in TABLE)]
    lines = ["Environment variables", ""]
    for variable, default, what in rows:
        lines.append(f"  {variable:<26} {what}" + (f" [{default}]" if default else ""))
    return "\n".join(lines)


def _file(name: str) -> str:
    with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
        return file.read().rstrip("\n")
