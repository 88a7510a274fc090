"""Findings as SARIF 2.1.0 (https://docs.oasis-open.org/sarif/sarif/v2.1.0/), for editors and code hosts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from stackfile import __version__
from stackfile.cli.output.errors import flatten
from stackfile.errors import Place, StackfileError

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_BASE = "%SRCROOT%"
"""What relative addresses start from: the working directory, which code hosts take for the repository's root."""


_HELP = "The stack is not loaded with it. Each result says what is wrong, why, and the way out."


@dataclass(frozen=True, slots=True)
class Rule:
    """What a finding is about. `level`: error, warning, note. `help`: why it matters and the way out."""

    id: str
    name: str
    level: str = "error"
    text: str = ""
    help: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """One finding, with the places that led there."""

    rule: Rule
    message: str
    at: Place | None
    related: tuple[Place, ...] = ()


def document(results: Iterable[Result], rules: Iterable[Rule] = ()) -> dict[str, Any]:
    """The log of one run. `rules` are described whether they found something or not, then those of the results."""
    found = list(results)
    known = {rule.id: rule for rule in (*rules, *(result.rule for result in found))}
    order = list(known)
    driver = {"name": "stackfile", "version": __version__, "rules": [_rule(rule) for rule in known.values()]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_BASE: {"uri": _absolute(os.getcwd().rstrip("/")) + "/"}},
        "results": [_result(result, order.index(result.rule.id)) for result in found],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def of_error(error: StackfileError) -> list[Result]:
    """The results of an error, one for each of a list: the rule is the error's code."""
    return [
        Result(
            Rule(item.code, item.reason, text=item.reason.replace("-", " "), help=_HELP),
            ". ".join(
                part for part in (str(item.message) + (f": {item.cause}" if item.cause else ""), item.hint) if part
            ),
            item.at,
            item.stack,
        )
        for item in flatten(error)
    ]


def _rule(rule: Rule) -> dict[str, Any]:
    result: dict[str, Any] = {"id": rule.id, "name": rule.name, "defaultConfiguration": {"level": rule.level}}
    if rule.text:
        result["shortDescription"] = {"text": rule.text}
    if rule.help:
        result["help"] = {"text": rule.help}
    return result


def _result(result: Result, index: int) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "ruleId": result.rule.id,
        "ruleIndex": index,
        "level": result.rule.level,
        "message": {"text": result.message},
    }
    if result.at is not None:
        plain["locations"] = [_location(result.at)]
    if result.related:
        plain["relatedLocations"] = [_location(place) for place in dict.fromkeys(result.related)]
    return plain


def _location(place: Place) -> dict[str, Any]:
    """A place in a file; one of the command line or of the environment has a name only."""
    if not place.line and (place.file.startswith("-") or place.file.isupper()):
        return {"logicalLocations": [{"name": place.file, "kind": "parameter"}]}
    physical: dict[str, Any] = {"artifactLocation": _artifact(place.file)}
    if place.line:
        physical["region"] = {"startLine": place.line}
        if place.column:
            physical["region"]["startColumn"] = place.column
    return {"physicalLocation": physical}


def _artifact(file: str) -> dict[str, str]:
    """A file below the working directory relative to it, another one by its absolute address."""
    path = os.path.normpath(file)
    if os.path.isabs(path) or path.split("/")[0] == "..":
        return {"uri": _absolute(os.path.abspath(path))}
    # A colon in the first segment would be read as the end of a scheme, which `quote` prevents.
    return {"uri": quote(path), "uriBaseId": _BASE}


def _absolute(path: str) -> str:
    return f"file://{quote(path)}"
