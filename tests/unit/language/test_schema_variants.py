"""Every key of the schema with right and wrong values: the schema and the parser say the same of each.

A mapping of the schema is written once for each of its keys and each of VALUES, one a line, in a stack with all that it
may name. What the parser refuses is told by the line of its errors.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from stackfile.errors import StackfileError
from stackfile.language import FileReader, LoadOptions
from tests.compose import judge
from tests.unit.language import agreement
from tests.unit.language.agreement import DEFINITIONS, ROOT, SCHEMA
from tests.unit.language.memory import DIRECTORY, MemoryReader

VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 80, 1.5, 2000, -2000, 70000, "", "a", "1", "-1", "1.5", "no", "5m", "a=b", "a:b",
    "/a", "./a", "0644", "host", "all", "a b", "10.0.0.0/24", "10.0.0.1", "02:42:ac:11:65:43", "SIGTERM", "zz",
    [], ["a"], ["a", "a"], ["/a"], [1], [True], [None], ["a=b"], ["a:b"], [["a"]], [{}],
    {}, {"a": "b"}, {"a": None}, {"a": 1}, {"a": True}, {"a": ["b"]}, {"a": {}}, {"x-a": 1}, {"bogus": 1},
]  # fmt: skip
SURROUNDINGS = {
    "images": ["a: {from: scratch}"],
    "services": ["a: {image: x, build: .}"],
    "networks": ["a: {}"],
    "volumes": ["a: {}"],
    "configs": ["a: {content: x}"],
    "secrets": ["a: {content: x}"],
    "models": ["a: {model: x}"],
}
FILE = "services: {a: {image: x}}\n"
"""Is a stack, and an env file too."""
FILES = {f"{DIRECTORY}/a": FILE, f"{DIRECTORY}/a.yaml": FILE, "/a": FILE, "/p": FILE, f"{DIRECTORY}/a.j2": "{{ x }}"}
Path = tuple[str | int, ...]
FILLERS: dict[str, Any] = {
    "image": "x", "from": "scratch", "target": "/t", "source": "a", "path": "/p", "command": ["x"], "weight": 10,
    "rate": 1, "soft": 1, "hard": 1, "subnet": "10.0.0.0/24", "service": "a", "name": "a", "stack": "o", "secret": "a",
    "network": "a", "volume": "a", "config": "a", "content": "x", "model": "x", "cron": "x", "manual": True,
    "action": "rebuild", "type": "x", "capabilities": ["gpu"], "triggers": {"manual": True}, "programs": "sh",
    "users": "root", "host": {"programs": "sh"},
}  # fmt: skip
"""What stands for a key that must be there."""


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with what it refers to in its place."""
    while "$ref" in schema:
        found: Any = SCHEMA
        for name in schema["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        schema = found | {key: value for key, value in schema.items() if key != "$ref"}
    return schema


def mappings(schema: dict[str, Any], path: Path, seen: set[int]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every mapping with known keys below a schema, each once, with a path that leads there."""
    schema = resolved(schema)
    if "properties" in schema and path:
        if id(schema["properties"]) in seen:
            return
        seen.add(id(schema["properties"]))
        yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from mappings(child, (*path, name), seen)
    for keyword, step in (("additionalProperties", "a"), ("items", 0)):
        if isinstance(schema.get(keyword), dict):
            yield from mappings(schema[keyword], (*path, step), seen)
    for choice in schema.get("anyOf", []):
        yield from mappings(choice, path, seen)


def sections() -> dict[str, dict[Path, dict[str, Any]]]:
    """Section → path below a member of it → mapping of the schema."""
    result: dict[str, dict[Path, dict[str, Any]]] = {}
    for section in SURROUNDINGS | {"jobs": []}:
        member = SCHEMA["properties"][section]["additionalProperties"]
        result[section] = dict(mappings(member, ("a",), set()))
    return result


def filled(schema: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    """A mapping without `key` but with what else must be there."""
    wanted = list(schema.get("required", []))
    for choices in (schema.get("oneOf"), schema.get("anyOf")):
        needed = [choice["required"][0] for choice in choices or () if "required" in choice]
        if needed and key not in needed:
            wanted.append(needed[0])
    result = {name: FILLERS[name] for name in wanted if name != key}
    if "target" in result and path[-2:-1] == ("ports",):
        result["target"] = 80
    if path[-2:-1] == ("volumes",) and "target" in result:
        result["type"] = "volume"
    return result


def member(path: Path, known: dict[Path, dict[str, Any]], value: Any) -> Any:
    """A member of a section in which the value stands at a path."""
    for index in range(len(path) - 1, 0, -1):
        step, outer = path[index], path[:index]
        value = [value] if step == 0 else filled(known.get(outer, {}), str(step), outer) | {step: value}
    return value


Difference = tuple[str, Any, str]


def differences(
    section: str, path: Path, key: str, known: dict[Path, dict[str, Any]], used: set[str]
) -> list[Difference]:
    """(who refuses, value, message) where one refuses what the other accepts and no rule says why."""
    members = [member((*path, key), known, value) for value in VALUES]
    refused = told(section, members)
    kind = SCHEMA["properties"][section]["additionalProperties"]
    validator = Draft202012Validator({**kind, "$defs": DEFINITIONS})
    found: list[Difference] = []
    for number, (value, written) in enumerate(zip(VALUES, members, strict=True)):
        valid, errors = validator.is_valid(written), refused[number]
        if valid and errors:
            rules = [agreement.rule_of(error) for error in errors]
            used.update(rule for rule in rules if rule)
            if not all(rules):
                found.append(("the parser", value, f"{errors[0].reason}: {errors[0].message}"))
        elif not valid and not errors:
            found.append(("the schema", value, ""))
    return found


def told(section: str, members: list[Any]) -> dict[int, list[StackfileError]]:
    """Number of a member → what the parser says of it, all in one stack, one a line."""
    lines = ["x-a: 1"]
    for name, others in SURROUNDINGS.items():
        lines += [f"{name}:", *(f"  {line}" for line in others)] if name != section else []
    lines += [f"{section}:", *(f"  {line}" for line in SURROUNDINGS.get(section, []))]
    start = len(lines) + 1
    lines += [f"  m{number}: {json.dumps(written)}" for number, written in enumerate(members)]
    files = FILES | {f"{DIRECTORY}/stack.yaml": "\n".join(lines)}
    _, errors = agreement.load(LoadOptions(directory=DIRECTORY, environ={"a": "x"}), MemoryReader(files))
    result: dict[int, list[StackfileError]] = defaultdict(list)
    for error in errors:
        assert error.at is not None, error
        assert error.at.line >= start, (error.at, error.message)
        result[error.at.line - start].append(error)
    return result


KNOWN = sections()
PLACES = [(section, path) for section, known in KNOWN.items() for path in known]
USED: set[str] = set()
"""Rules that were needed."""


def shown(part: Any) -> str:
    return part if isinstance(part, str) else "/".join(map(str, part))


@pytest.mark.parametrize(("section", "path"), PLACES, ids=shown)
def test_every_key_of_a_mapping(section: str, path: Path) -> None:
    known = KNOWN[section]
    keys = [key for key in known[path]["properties"] if len(path) == 1 or key not in ("for_each", "when")]
    found = {key: differences(section, path, key, known, USED) for key in [*keys, "x-extension", "bogus"]}
    assert {key: some for key, some in found.items() if some} == {}


TOP = [*(key for key in SCHEMA["properties"] if key != "services"), "x-extension", "bogus"]


@pytest.mark.parametrize("key", TOP)
def test_every_key_of_the_file(key: str) -> None:
    found = {}
    for value in [*VALUES, {"a": {"default": True}}, {"a": {"default": 1}}, {"a": {"bogus": 1}}, {"a": "a.yaml"}]:
        text = json.dumps({"services": {"s": {"image": "x"}}, key: value})
        files = FILES | {f"{DIRECTORY}/stack.yaml": text}
        loaded, errors = agreement.load(LoadOptions(directory=DIRECTORY, environ={"a": "x"}), MemoryReader(files))
        if wrong := agreement.disagreement(loaded, errors, USED):
            found[json.dumps(value)] = wrong
    assert found == {}


@pytest.mark.parametrize("case", judge.cases(), ids=lambda case: case.name)
def test_the_corpus_of_compose_files(case: judge.Case) -> None:
    loaded, errors = agreement.load(judge.options(case), FileReader())
    assert agreement.disagreement(loaded, errors, USED) == []


EXAMPLES = [
    (path.relative_to(ROOT / "examples"), environment)
    for path in sorted((ROOT / "examples").glob("*/*.yaml"))
    for environment in (("dev", "staging", "prod") if path.name == "stack.yaml" and "platform" in str(path) else ("",))
]


@pytest.mark.parametrize(("path", "environment"), EXAMPLES, ids=str)
def test_the_examples(path: FilePath, environment: str) -> None:
    options = LoadOptions(directory=str(ROOT / "examples" / path.parent), files=(path.name,), environment=environment)
    loaded, errors = agreement.load(options, FileReader())
    assert not errors, errors
    assert agreement.disagreement(loaded, errors, USED) == []


BEYOND: dict[str, tuple[str, dict[str, Any]]] = {
    "command-line": ("services: {}", {"environment": "x"}),
    "default": ("environments: {a: {default: true}, b: {default: true}}", {}),
    "values": ("values: {a: 1}", {"sets": (("set", "b=1"),)}),
    "url": ("services: {a: {build: 'https://x/y.git'}}", {}),
    "merged": ("include: [a.yaml]\nservices: {a: {image: y}}", {}),
    "template-file": ("configs: {c: {file: a.j2, template_driver: jinja}}", {}),
    "template-driver": ("configs: {c: {file: /a, template_driver: x}}", {}),
}


@pytest.mark.parametrize("rule", BEYOND)
def test_what_else_a_schema_cannot_say(rule: str) -> None:
    text, options = BEYOND[rule]
    reader = MemoryReader(FILES | {f"{DIRECTORY}/stack.yaml": text})
    loaded, errors = agreement.load(LoadOptions(directory=DIRECTORY, environ={}, **options), reader, contents=True)
    assert [agreement.rule_of(error) for error in errors] == [rule]
    assert agreement.disagreement(loaded, errors, USED) == []


def test_every_rule_is_needed() -> None:
    """Of this file's tests, so all of them have to run."""
    assert USED - set(agreement.BEYOND | agreement.COMPOSE) == set()
    assert set(agreement.BEYOND | agreement.COMPOSE) - USED == set()
