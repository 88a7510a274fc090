from __future__ import annotations

from typing import Any

import pytest

from stackfile.errors import StackError
from stackfile.language import LoadOptions, load
from stackfile.language.dialect import dialect_of
from tests.unit.language.memory import MemoryReader, errors_of, errors_of_files, load_files, load_text

SERVICES = "services: {a: {image: %s}}"


@pytest.mark.parametrize(
    ("name", "dialect"),
    [
        ("stack.yaml", "stack"), ("stack.prod.yml", "stack"), ("stackfile.yaml", "stack"), ("x.stack.yaml", "stack"),
        ("a.j2", "stack"), ("compose.yaml", "compose"), ("compose.prod.yaml", "compose"),
        ("docker-compose.yml", "compose"), ("other.yaml", None), ("-", None),
    ],
)  # fmt: skip
def test_names_say_the_dialect(name: str, dialect: str | None) -> None:
    assert dialect_of(name) == dialect


def test_stack_yaml_comes_before_compose_yaml_with_a_warning() -> None:
    warnings: list[object] = []
    files = {"stack.yaml": SERVICES % "one", "compose.yaml": SERVICES % "two"}
    assert load_files(files, warnings=warnings).services["a"].image == "one"  # type: ignore[arg-type]
    assert len(warnings) == 1


def test_override_files_load_beside_their_base() -> None:
    for base in ("stack", "compose", "docker-compose"):
        files = {f"{base}.yaml": SERVICES % "one", f"{base}.override.yaml": SERVICES % "two"}
        assert load_files(files).services["a"].image == "two"


def test_discovery_goes_up() -> None:
    reader = MemoryReader({"/project/stack.yaml": SERVICES % "x"})
    stack = load(LoadOptions(directory="/project/deep/down"), reader)
    assert (stack.name, stack.directory) == ("project", "/project")
    assert stack.origins["service.a"].at.file == "../../stack.yaml"


def test_nothing_to_find() -> None:
    with pytest.raises(StackError) as caught:
        load(LoadOptions(directory="/project"), MemoryReader({}))
    assert caught.value.reason == "no-stack-file"


def test_files_that_are_not_there() -> None:
    assert errors_of_files({}, files=("a.yaml",)) == [("file-not-found", "-f", 0, 0)]
    url = "https://example.com/compose.yaml"
    assert errors_of_files({}, files=(url,)) == [("bad-value", "-f", 0, 0)]
    assert errors_of_files({}, environ={"COMPOSE_FILE": "a.yaml"}) == [("file-not-found", "COMPOSE_FILE", 0, 0)]
    assert errors_of_files({"stack.yaml": ""}, env_files=("a.env",)) == [("file-not-found", "--env-file", 0, 0)]


def test_other_names_follow_the_first_file() -> None:
    template = "services: {a: {image: '{{ stack.name }}'}}"
    follows = load_files({"stack.yaml": "name: n", "o.yaml": template}, files=("stack.yaml", "o.yaml"))
    assert follows.services["a"].image == "n"
    alone = load_files({"o.yaml": "services: {a: {image: x, user: '{{ x }}'}}"}, files=("o.yaml",))
    assert alone.services["a"].user == "{{ x }}"


def test_a_file_may_declare_its_dialect() -> None:
    text = "x-stackfile: {dialect: %s}\nservices: {a: {image: x, user: '{{ stack.name }}'}}"
    assert load_text(text % "stack", "compose.yaml").services["a"].user == "project"
    assert load_text(text % "compose").services["a"].user == "{{ stack.name }}"
    assert errors_of(text % "other") == [("bad-value", "stack.yaml", 1, 24)]


def test_our_keys_in_compose_files_name_the_fix() -> None:
    text = "values: {a: 1}\nservices: {a: {image: x, for_each: [1]}}\nimages: {}\n"
    assert errors_of(text, "compose.yaml")[:3] == [
        ("wrong-dialect", "compose.yaml", 1, 1),
        ("wrong-dialect", "compose.yaml", 2, 26),
        ("wrong-dialect", "compose.yaml", 3, 1),
    ]


def test_standard_input() -> None:
    stack = load(LoadOptions(files=("-",), directory="/project"), MemoryReader({"-": "services: {a: {image: x}}"}))
    assert list(stack.services) == ["a"]


@pytest.mark.parametrize(
    ("options", "text", "name"),
    [
        ({}, "", "project"), ({}, "name: own\n", "own"), ({"project_name": "p"}, "name: own\n", "p"),
        ({"environ": {"COMPOSE_PROJECT_NAME": "e"}}, "name: own\n", "e"),
        ({"environ": {"N": "v"}}, "name: a$N\n", "av"), ({"environ": {"N": "v"}}, "name: 'a{{ env.N }}'\n", "av"),
    ],
)  # fmt: skip
def test_the_project_name(options: dict[str, Any], text: str, name: str) -> None:
    assert load_text(text + "services: {}", **options).name == name


def test_the_directory_name_is_normalised() -> None:
    reader = MemoryReader({"/x/My.App_1/stack.yaml": "services: {}"})
    assert load(LoadOptions(directory="/x/My.App_1"), reader).name == "myapp_1"


def test_bad_project_names() -> None:
    assert errors_of("name: Bad Name\n") == [("bad-name", "stack.yaml", 1, 7)]
    assert errors_of("services: {}", project_name="A") == [("bad-name", "-p", 0, 0)]


def test_unknown_keys_at_the_top() -> None:
    assert errors_of("servces: {}\ninclude: []\nx-own: 1\n") == [("unknown-key", "stack.yaml", 1, 1)]


def test_profiles() -> None:
    text = "services: {a: {image: x}, b: {image: x, profiles: [p]}, c: {image: x, profiles: [q]}}"
    assert list(load_text(text).services) == ["a"]
    assert list(load_text(text, profiles=("p",)).services) == ["a", "b"]
    assert list(load_text(text, profiles=("*",)).services) == ["a", "b", "c"]
    assert list(load_text(text, services=("c",)).services) == ["a", "c"]
    assert list(load_text(text, environ={"COMPOSE_PROFILES": "p,q"}).services) == ["a", "b", "c"]
    depends = "services: {a: {image: x, depends_on: [b]}, b: {image: x, profiles: [p]}}"
    assert errors_of(depends) == [("unknown-reference", "stack.yaml", 1, 39)]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("secrets: {s: {generate: {}}}", 1, 15), ("secrets: {s: {content: x}}", 1, 15),
        ("secrets: {s: {command: x}}", 1, 15), ("networks: {n: {external: {stack: a, network: b}}}", 1, 27),
        ("services: {a: {image: x, configs: [{source: c, on_change: none}]}}\nconfigs: {c: {content: x}}", 1, 48),
        ("services: {a: {image: x, environment: {A: {secret: s}}}}\nsecrets: {s: {environment: HOME}}", 1, 44),
        ("services: {a: {image: x, depends_on: {d/e: {condition: service_started}}}}", 1, 39),
        ("services: {a: {image: x, for_each: [a]}}", 1, 26),
    ],
)  # fmt: skip
def test_what_compose_does_not_have_is_told_in_its_files(text: str, line: int, column: int) -> None:
    environ = {"HOME": "/"}
    assert errors_of(text, "compose.yaml", environ=environ)[0] == ("wrong-dialect", "compose.yaml", line, column)
    load_text(text, "stack.yaml", environ=environ)
