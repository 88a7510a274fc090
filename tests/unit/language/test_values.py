from __future__ import annotations

from typing import Any

import pytest

from stackfile.model.stack import Stack
from tests.unit.language.memory import errors_of, errors_of_files, load_files, load_text

BASE = """\
values:
  port: 80
  name: web
  ratio: 1.5
  flag: false
  nothing: null
  list: [1, 2]
  record: {a: 1, b: {c: 2}}
  teams: {red: {owner: x}, blue: {owner: y}}
  empty: {}
services: {s: {image: x, labels: {v: "{{ values | tojson }}"}}}
"""


def values(stack: Stack) -> dict[str, Any]:
    import json

    loaded: dict[str, Any] = json.loads(stack.services["s"].labels["v"])
    return loaded


@pytest.mark.parametrize(
    ("sets", "path", "value"),
    [
        ([("set", "port=81")], "port", 81), ([("set", "name=1.10")], "name", "1.10"),
        ([("set", "name=true")], "name", "true"), ([("set", "ratio=2")], "ratio", 2),
        ([("set", "flag=true")], "flag", True), ([("set", "nothing=x")], "nothing", "x"),
        ([("set", "record.b.c=5")], "record", {"a": 1, "b": {"c": 5}}), ([("set", "list=[3]")], "list", [3]),
        ([("set", "teams.green={owner: z}")], "teams",
         {"red": {"owner": "x"}, "blue": {"owner": "y"}, "green": {"owner": "z"}}),
        ([("set", "empty.any=1")], "empty", {"any": 1}), ([("set-string", "name=007")], "name", "007"),
        ([("set-json", 'list=["a", {"b": 1}]')], "list", ["a", {"b": 1}]),
        ([("set", "name=a=b,c")], "name", "a=b,c"), ([("set", "port=1"), ("set", "port=2")], "port", 2),
        ([("set", r"empty.a\.b=1")], "empty", {"a.b": 1}), ([("set-string", "name={{ x }} $Y")], "name", "{{ x }} $Y"),
    ],
)  # fmt: skip
def test_set(sets: list[tuple[str, str]], path: str, value: object) -> None:
    assert values(load_text(BASE, sets=tuple(sets)))[path] == value


def test_set_file() -> None:
    stack = load_files({"stack.yaml": BASE, "name.txt": "from a file\n"}, sets=(("set-file", "name=name.txt"),))
    assert values(stack)["name"] == "from a file\n"


@pytest.mark.parametrize(
    ("assignment", "reason"),
    [
        ("prot=1", "unknown-value"), ("record.x=1", "unknown-value"), ("teams.red.ownr=x", "unknown-value"),
        ("port=x", "values-invalid"), ("list=1", "values-invalid"), ("record=1", "values-invalid"),
        ("port", "bad-value"), ("=1", "bad-value"), ("list=[1", "bad-value"), ("port=null", "values-invalid"),
    ],
)  # fmt: skip
def test_bad_assignments(assignment: str, reason: str) -> None:
    assert errors_of(BASE, sets=(("set", assignment),)) == [(reason, f"--set {assignment}", 0, 0)]


def test_values_files_then_sets() -> None:
    files = {"stack.yaml": BASE, "one.yaml": "port: 1\nname: one\nlist: [9]\n", "two.json": '{"name": "{{ two }} $X"}'}
    found = values(load_files(files, values_files=("one.yaml", "two.json"), sets=(("set", "port=3"),)))
    assert (found["port"], found["name"], found["list"]) == (3, "{{ two }} $X", [9])


def test_mistakes_of_values_files_have_places() -> None:
    files = {"stack.yaml": BASE, "v.yaml": "port: x\nprot: 1\n"}
    assert errors_of_files(files, values_files=("v.yaml", "no.yaml")) == [
        ("file-not-found", "no.yaml", 0, 0),
        ("values-invalid", "v.yaml", 1, 7),
        ("unknown-value", "v.yaml", 2, 1),
    ]


def test_values_refer_to_values() -> None:
    stack = load_text("""\
        values:
          a: "{{ values.b }}-{{ values.m.x }}"
          b: "{{ values.c + 1 }}"
          c: 1
          m: {x: "{{ values.b * 2 }}", l: ["{{ values.c }}", {y: "{{ values.a }}"}]}
          all: "{{ values.m }}"
        services: {s: {image: x, labels: {v: "{{ values | tojson }}"}}}
        """)
    assert values(stack) == {
        "a": "2-4",
        "b": 2,
        "c": 1,
        "m": {"x": 4, "l": [1, {"y": "2-4"}]},
        "all": {"x": 4, "l": [1, {"y": "2-4"}]},
    }


def test_cycles_of_values() -> None:
    text = "values: {a: '{{ values.b }}', b: '{{ values.c.d }}', c: {d: '{{ values.a }}'}}\n"
    assert [found[0] for found in errors_of(text)] == ["values-cycle"]
    assert errors_of("values: {a: 'x{{ values.a }}'}") == [("values-cycle", "stack.yaml", 1, 13)]


def test_uses_of_a_broken_value_are_not_reported_again() -> None:
    text = "values: {a: '{{ nope }}'}\nservices: {s: {image: '{{ values.a }}', user: '{{ values.a | upper }}'}}\n"
    assert errors_of(text) == [("template-undefined", "stack.yaml", 1, 14)]


def test_origins_tell_who_set_a_value() -> None:
    text = "values: {level: info}\nservices: {s: {image: x, environment: {L: '{{ values.level }}'}}}"
    stack = load_text(text, sets=(("set", "level=debug"),))
    (step,) = stack.origins["service.s/environment/L"].via
    assert (step.name, step.at.file) == ("values.level", "--set level=debug")


SCHEMA = """\
values_schema:
  properties:
    port: {type: integer, maximum: 100}
    teams: {additionalProperties: {properties: {owner: {type: string, pattern: "^[a-z]+$"}, size: {type: integer}}}}
values: {port: 80, teams: {red: {owner: x}}}
services: {s: {image: x}}
"""


def test_a_schema_allows_what_it_names() -> None:
    load_text(SCHEMA, sets=(("set", "teams.red.size=3"), ("set", "teams.new.owner=x")))


@pytest.mark.parametrize(
    ("assignment", "reason"),
    [("port=101", "values-invalid"), ("teams.red.owner=A1", "values-invalid"), ("teams.red.x=1", "unknown-value")],
)
def test_a_schema_constrains(assignment: str, reason: str) -> None:
    assert errors_of(SCHEMA, sets=(("set", assignment),)) == [(reason, f"--set {assignment}", 0, 0)]


def test_defaults_are_checked_too() -> None:
    text = "values_schema: {properties: {a: {type: string}}}\nvalues: {a: 1}\n"
    assert errors_of(text) == [("values-invalid", "stack.yaml", 2, 13)]


def test_a_schema_that_is_none() -> None:
    assert errors_of("values_schema: {type: nonsense}\nvalues: {a: 1}\n")[0][0] == "values-invalid"


@pytest.mark.parametrize(
    "text",
    [
        "values: {a: {b: '{{ values }}'}}",
        "values: {a: {b: '{{ values.a }}'}}",
        "values: {a: ['{{ values }}'], c: 1}",
        "values: {a: {b: ['{{ values.c }}']}, c: {d: '{{ values.a }}'}}",
    ],
)
def test_values_that_contain_themselves(text: str) -> None:
    assert {found[0] for found in errors_of(text)} == {"values-cycle"}


def test_values_that_double_are_bounded() -> None:
    lines = [f"  v{n}: ['{{{{ values.v{n - 1} }}}}', '{{{{ values.v{n - 1} }}}}']" for n in range(1, 60)]
    assert errors_of("values:\n  v0: [1, 2]\n" + "\n".join(lines))[0][0] == "template-limit"


def test_a_schema_is_no_template() -> None:
    load_text("values_schema: {properties: {a: {description: '{{ x }} $', pattern: '^a$'}}}\nvalues: {a: a}")
