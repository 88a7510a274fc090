"""Macros and templates of their own files, and where their mistakes are told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from stackfile.errors import StackError
from stackfile.language import LoadOptions, load
from stackfile.model.stack import Stack
from tests.unit.language.memory import errors_of, errors_of_files, load_files

MACROS = """\
{% set base = '/v1' %}
{% macro url(host, port=80, tls=false) -%}
http{{ 's' if tls }}://{{ host }}:{{ port }}{{ base }}
{%- endmacro %}
{% macro both(a, b) %}{{ url(a) }},{{ url(b, 81, true) }}{% endmacro %}
{% macro each(names) %}{% for name in names %}{{ caller(name) }}{% endfor %}{% endmacro %}
"""


def stack_of(label: str, files: Mapping[str, str]) -> Stack:
    head = "name: shop\nvalues: {port: 8080, names: [a, b]}\n"
    text = f"{head}services:\n  s:\n    image: x\n    labels:\n      l: {label}\n"
    return load_files({"stack.yaml": text, **files})


@pytest.mark.parametrize(
    ("label", "files", "expected"),
    [
        ("\"{% import 'm.j2' as m %}{{ m.url('h', values.port) }}\"", {}, "http://h:8080/v1"),
        ("\"{% from 'm.j2' import url %}{{ url('h', tls=true) }}\"", {}, "https://h:80/v1"),
        ("\"{% from 'm.j2' import both as two %}{{ two('a', 'b') }}\"", {}, "http://a:80/v1,https://b:81/v1"),
        ("\"{% from 'm.j2' import each %}{% call(n) each(values.names) %}<{{ n }}>{% endcall %}\"", {}, "<a><b>"),
        ("\"{% import 'm.j2' as m %}{{ m.base }}\"", {}, "/v1"),
        ("\"{% include 'p.j2' %}\"", {"p.j2": "{{ stack.name }}:{{ values.port }}\n"}, "shop:8080\n"),
        ("\"a{% include 'p.j2' %}\"", {"p.j2": "$HOME ${X} {{ '$Y' }}"}, "a$HOME ${X} $Y"),
        ("\"{% for n in values.names %}{% include 'p.j2' %}{% endfor %}\"", {"p.j2": "{{ n }};"}, "a;b;"),
        ("\"{% include 'no.j2' ignore missing %}x\"", {}, "x"),
        ("\"{% include ['no.j2', 'p.j2'] %}\"", {"p.j2": "p"}, "p"),
        (
            "\"{% extends 'b.j2' %}{% block who %}me{% endblock %}\"",
            {"b.j2": "hello {% block who %}{% endblock %}!"},
            "hello me!",
        ),
        ("\"{% include 'd/a.j2' %}\"", {"d/a.j2": "{% include './b.j2' %}", "d/b.j2": "near"}, "near"),
        ("\"{% include 'd/a.j2' %}\"", {"d/a.j2": "{% include '../b.j2' %}", "b.j2": "above"}, "above"),
        (
            "\"{% include 'd/a.j2' %}\"",
            {"d/a.j2": "{% include 'b.j2' %}", "b.j2": "from the project"},
            "from the project",
        ),
        ("\"{% include './p.j2' %}\"", {"p.j2": "here"}, "here"),
    ],
)
def test_what_templates_take_from_files(label: str, files: Mapping[str, str], expected: str) -> None:
    assert stack_of(label, {"m.j2": MACROS, **files}).services["s"].labels["l"] == expected


def test_config_files_have_them_too_and_each_file_is_known_as_read() -> None:
    files = {
        "stack.yaml": """\
            values: {names: [a, b]}
            services: {s: {image: x, configs: [c]}}
            configs: {c: {file: conf/c.j2, template_driver: jinja}}
            """,
        "conf/c.j2": "{% from 'm.j2' import line %}\n{% for n in values.names %}\n{{ line(n) }}\n{%- endfor %}",
        "m.j2": "{% macro line(n) %}name = {{ n }}{% endmacro %}",
    }
    stack = load_files(files)
    assert (stack.configs["c"].content or "").split() == ["name", "=", "a", "name", "=", "b"]
    assert "/project/m.j2" in stack.files


LABEL = "services:\n  s:\n    image: x\n    labels:\n      l: "


@pytest.mark.parametrize(
    ("label", "files", "at", "reason", "stack"),
    [
        # An imported macro: its line, then who called it.
        (
            "\"{% import 'm.j2' as m %}{{ m.a() }}\"",
            {"m.j2": "\n{% macro a() %}\n  {{ 1 // 0 }}\n{% endmacro %}"},
            "m.j2:3", "template-failed", ["stack.yaml:5:11"],
        ),
        # Two deep, by two files, called on the third line of a block.
        (
            "|\n        one\n        {% from 'm.j2' import a %}\n        {{ a(3) }}\n",
            {
                "m.j2": "{% from 'd/n.j2' import b %}\n{% macro a(x) %}\n\n{{ b(x) }}{% endmacro %}",
                "d/n.j2": "{% macro b(x) %}\n{{ x.nope.more }}\n{% endmacro %}",
            },
            "d/n.j2:2", "template-undefined", ["m.j2:4", "stack.yaml:8:9"],
        ),
        # Included, two deep; a name of a map with a hint.
        (
            "\"{% include 'a.j2' %}\"",
            {"a.j2": "a\n{% include 'b.j2' %}", "b.j2": "b\nb\n{{ env.NOPE }}"},
            "b.j2:3", "template-undefined", ["a.j2:2", "stack.yaml:5:11"],
        ),
        # Null in text, a limit, a syntax error, a filter that is none, a file that is missing, in an included file.
        (
            "\"{% include 'a.j2' %}\"", {"a.j2": "x\n{{ none }}"},
            "a.j2:2", "template-not-scalar", ["stack.yaml:5:11"],
        ),
        (
            "\"{% include 'a.j2' %}\"", {"a.j2": "\n\n{{ 'x' * 10000000000 }}"},
            "a.j2:3", "template-limit", ["stack.yaml:5:11"],
        ),
        (
            "\"{% include 'a.j2' %}\"", {"a.j2": "x\n{% include 'b.j2' %}", "b.j2": "y\n\n{% if %}"},
            "b.j2:3", "template-syntax", ["a.j2:2", "stack.yaml:5:11"],
        ),
        (
            "\"{% import 'a.j2' as a %}\"", {"a.j2": "\n{% macro m(x) %}\n{{ x | shout }}{% endmacro %}"},
            "a.j2:3", "template-syntax", ["stack.yaml:5:11"],
        ),
        (
            "\"{% include 'a.j2' %}\"", {"a.j2": "\n{% import 'gone.j2' as g %}"},
            "a.j2:2", "file-not-found", ["stack.yaml:5:11"],
        ),
        ("\"{% include 'a.j2' %}\"", {"a.j2": "\n{% include '../b.j2' %}"},
            "a.j2:2", "include-outside", ["stack.yaml:5:11"]),
        ("\"{% include 'a.j2' %}\"", {"a.j2": "{% include 'a.j2' %}"}, "a.j2:1", "template-limit", ["stack.yaml:5:11"]),
        # A macro sees its arguments only, wherever it is written.
        (
            "\"{% import 'a.j2' as a %}\"", {"a.j2": "{% macro m(x) %}\n{{ x }}\n{{ values.port }}{% endmacro %}"},
            "a.j2:3", "template-undefined", ["stack.yaml:5:11"],
        ),
        ("\"{% import 'a.j2' as a with context %}\"", {"a.j2": "{% macro m() %}{{ env.X }}{% endmacro %}"},
            "a.j2:1", "template-undefined", ["stack.yaml:5:11"]),
        # Without any file: the line of a block.
        (
            "|\n        one\n        {% macro m() %}\n        {{ stack.name }}{% endmacro %}\n", {},
            "stack.yaml:8:9", "template-undefined", [],
        ),
        ("|\n        {% if true %}\n        {{ nope }}\n        {% endif %}\n", {},
            "stack.yaml:7:9", "template-undefined", []),
        ("|\n        {% for x in [1] %}\n        {{ x // 0 }}\n        {% endfor %}\n", {},
            "stack.yaml:7:9", "template-failed", []),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_its_file_with_the_way_there(
    label: str, files: Mapping[str, str], at: str, reason: str, stack: list[str]
) -> None:
    with pytest.raises(StackError) as caught:
        load_files({"stack.yaml": LABEL + label, **files})
    error = caught.value
    assert (str(error.at), error.reason, [str(place) for place in error.stack]) == (at, reason, stack)


def test_a_typo_in_an_included_file_gets_a_hint() -> None:
    with pytest.raises(StackError) as caught:
        load_files(
            {"stack.yaml": "values: {port: 1}\n" + LABEL + "\"{% include 'a.j2' %}\"", "a.j2": "{{ values.prt }}"}
        )
    assert (str(caught.value.at), caught.value.hint) == ("a.j2:1", "did you mean port?")


def test_mistakes_of_several_places_are_told_together() -> None:
    files = {
        "stack.yaml": "services:\n  a: {image: x, user: \"{% include 'a.j2' %}\"}\n  b: {image: '{{ nope }}'}\n",
        "a.j2": "\n{{ gone }}",
    }
    assert errors_of_files(files) == [
        ("template-undefined", "a.j2", 2, 0),
        ("template-undefined", "stack.yaml", 3, 15),
    ]


def test_what_is_outside_of_the_project_is_not_read(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "secret").write_text("secret")
    (project / "link.j2").symlink_to("../secret")
    (project / "binary.j2").write_bytes(b"x\n\xff")

    def reason(name: str) -> tuple[str, str]:
        (project / "stack.yaml").write_text(LABEL + f"\"{{% include '{name}' %}}\"")
        with pytest.raises(StackError) as caught:
            load(LoadOptions(directory=str(project), environ={}))
        return caught.value.reason, str(caught.value.at)

    for name in ("../secret", f"{tmp_path}/secret", "link.j2", "a/../../secret", ".", "/etc/passwd"):
        assert reason(name) == ("include-outside", "stack.yaml:5:11"), name
    assert reason("binary.j2") == ("template-syntax", "binary.j2:2")
    (project / "directory").mkdir()
    assert reason("directory") == ("file-unreadable", "stack.yaml:5:11")


def test_compose_files_have_none() -> None:
    text = "services: {a: {image: x, command: [\"{% include 'x' %}\"]}}"
    assert load_files({"compose.yaml": text}).services["a"].command == ("{% include 'x' %}",)
    assert errors_of("services: {a: {image: x, user: \"{% include 'x' %}\"}}") == [
        ("file-not-found", "stack.yaml", 1, 33)
    ]
