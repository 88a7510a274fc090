from __future__ import annotations

from typing import Any

import pytest

from stackfile.errors import ErrorCollector, Place, StackError
from stackfile.language import sandbox
from stackfile.language.expression import Expression, Literal, Unfinished, split
from stackfile.language.nodes import Scalar, Template, to_plain
from stackfile.language.source import parse
from stackfile.language.template import OMIT, Engine
from stackfile.language.tracked import Tracker
from stackfile.language.values import build
from stackfile.language.variables import Variables
from tests.unit.language.memory import errors_of, load_text, service

VALUES = """\
port: 8080
version: "1.10"
ratio: 1.5
flag: true
nothing: null
items: [1, 2]
teams: {red: {owner: x}, blue: {owner: y}}
"""


@pytest.fixture
def engine() -> Engine:
    tracker = Tracker()
    return Engine(Variables({"P": "a$b", "T": "{{ values.port }}"}, {}, tracker), tracker)


@pytest.fixture
def scope(engine: Engine) -> dict[str, Any]:
    tree = parse(VALUES.encode(), "v", ErrorCollector())
    values = build(tree, engine, {}, engine.tracker)  # type: ignore[arg-type]
    return {"values": values, "env": engine.variables, "omit": OMIT, "stack": {"name": "s"}}


def result(engine: Engine, scope: dict[str, Any], text: str) -> object:
    node = engine.node(Template(text, Place("f", 1, 4), start=(1, 5)), scope)
    return OMIT if node is None else to_plain(node)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ values.port }}", 8080), ("{{ values.version }}", "1.10"), ("{{ values.ratio }}", 1.5),
        ("{{ values.flag }}", True), ("{{ values.nothing }}", None), ("{{ values['items'] }}", [1, 2]),
        ("{{ values.items }}", [1, 2]), ("{{ values.teams }}", {"red": {"owner": "x"}, "blue": {"owner": "y"}}),
        ("{{ values.port + 1 }}", 8081), ("{{ values.version | upper }}", "1.10"), ("{{ '1' ~ 2 }}", "12"),
        ("{{ {'a': {'b': 1}} }}", {"a": {"b": 1}}), ("{{ [1, 'x}}'] }}", [1, "x}}"]), ("{{ none }}", None),
        ("{{ values.teams | length }}", 2), ("{{ values.teams.values() | map(attribute='owner') }}", ["x", "y"]),
        ("{{ values.missing | default('d') }}", "d"), ("{{ env.MISSING | default(omit) }}", OMIT),
        ("{{ values.port if values.flag else omit }}", 8080), ("{{ omit }}", OMIT),
    ],
)  # fmt: skip
def test_a_scalar_that_is_one_expression_keeps_its_type(
    engine: Engine, scope: dict[str, Any], text: str, value: object
) -> None:
    found = result(engine, scope, text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ values.port }}:80", "8080:80"), ("a {{ values.flag }}", "a true"), ("v{{ values.ratio }}", "v1.5"),
        ("{{ values.port }}{{ values.port }}", "80808080"), ("{{ values.port }}\n", "8080\n"),
        ("x{{ values.teams | tojson }}", 'x{"red": {"owner": "x"}, "blue": {"owner": "y"}}'),
        ("x{{ '<&>' | tojson }}", 'x"<&>"'), ("{# c #}x", "x"), ("{% if values.flag %}yes{% endif %}", "yes"),
        ("{% for n in values['items'] %}{{ n }},{% endfor %}", "1,2,"), ("a  {{- values.port }}", "a8080"),
        ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"), ("{% set a = 1 %}{{ a }}", "1"),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(3) }}", "<3>"),
    ],
)  # fmt: skip
def test_any_other_scalar_is_text(engine: Engine, scope: dict[str, Any], text: str, value: str) -> None:
    assert result(engine, scope, text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$P {{ values.port }}", "a$b 8080"), ("$$ {{ values.port }}", "$ 8080"),
        ("${T} {{ values.port }}", "{{ values.port }} 8080"), ("{{ '$P' }}x", "$Px"), ("{{ env.P }}x", "a$bx"),
        ("{{ env.T }}", "{{ values.port }}"), ("{% if true %}${T}{% endif %}", "{{ values.port }}"),
        ("{% raw %}$P{% endraw %}x", "a$bx"),
    ],
)  # fmt: skip
def test_one_pass_dollar_in_literals_only(engine: Engine, scope: dict[str, Any], text: str, value: str) -> None:
    assert result(engine, scope, text) == value


@pytest.mark.parametrize(
    ("text", "reason", "column"),
    [
        ("{{ values.prt }}", "template-undefined", 5), ("ab {{ values.prt }}", "template-undefined", 8),
        ("{{ nope }}", "template-undefined", 5), ("{{ values.prt | upper }}", "template-undefined", 5),
        ("{{ values.teams['green'] }}", "template-undefined", 5), ("{{ each.key }}", "template-undefined", 5),
        ("{{ values.port", "template-syntax", 5), ("{{ a b }}", "template-syntax", 5),
        ("{{ .Name }}", "template-syntax", 5), ("{% if %}", "template-syntax", 5), ("{{ }}", "template-syntax", 5),
        ("{{ 1 | nofilter }}", "template-syntax", 5),
        ("a {{ values.nothing }}", "template-not-scalar", 7), ("a {{ values.items }}", "template-not-scalar", 7),
        ("a {{ values.teams }}", "template-not-scalar", 7), ("a {{ omit }}", "template-not-scalar", 7),
        ("${X:-{{ values.port }}}", "template-in-interpolation", 5), ("{{ 1 / 0 }}", "template-failed", 5),
        ("a ${X {{ values.port }}", "interpolation-syntax", 5),
        ("{{ 'a' + 1 }}", "template-failed", 5),
    ],
)  # fmt: skip
def test_mistakes(engine: Engine, scope: dict[str, Any], text: str, reason: str, column: int) -> None:
    with pytest.raises(StackError) as caught:
        result(engine, scope, text)
    assert caught.value.reason == reason
    assert caught.value.at == Place("f", 1, column)


def test_a_typo_in_a_name_gets_a_hint(engine: Engine, scope: dict[str, Any]) -> None:
    with pytest.raises(StackError) as caught:
        result(engine, scope, "{{ values.prt }}")
    assert "port" in caught.value.hint


def test_null_map_and_list_in_text_suggest_what_to_do(engine: Engine, scope: dict[str, Any]) -> None:
    with pytest.raises(StackError) as caught:
        result(engine, scope, "a {{ values.items }}")
    assert "tojson" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__ }}", "{{ ''.__class__.__mro__ }}", "{{ values.__init__.__globals__ }}",
        "{{ values.put('a', 1, ()) ~ range.__self__ }}", "{{ lipsum() }}", "{{ cycler.__init__ }}",
        "{{ (1).__class__.__bases__ }}", "{{ '%s' % self.__class__ }}", "{{ '{0.__class__}'.format(1) }}",
        "{% import 'os' as os %}", "{% include '/etc/passwd' %}",
    ],
)  # fmt: skip
def test_the_sandbox_holds(engine: Engine, scope: dict[str, Any], text: str) -> None:
    with pytest.raises(StackError):
        result(engine, scope, text)


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'x' * 10000000000 }}", "{{ 10 ** 100000 }}", "{{ range(10000000) | list }}",
        "{{ '{:1000000000}'['format'](1) }}",
        "{{ '%1000000000d' | format(1) }}",
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        "{% for i in range(100000) %}{{ 'x' * 1000 }}{% endfor %}", "{{ '%1000000000d' % 1 }}",
        "{{ '{:1000000000}'.format(1) }}", "{{ 'x' | center(1000000000) }}", "{{ 'x'.ljust(1000000000) }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "{{ [1] * 1000000000 }}",
    ],
)  # fmt: skip
def test_time_and_output_are_bounded(engine: Engine, scope: dict[str, Any], text: str) -> None:
    with pytest.raises(StackError) as caught:
        result(engine, scope, text)
    assert caught.value.reason == "template-limit"


def test_the_sum_of_all_results_is_bounded(engine: Engine, scope: dict[str, Any]) -> None:
    for _ in range(40):
        result(engine, scope, "a{{ 'x' * 400000 }}")
    with pytest.raises(StackError) as caught:
        [result(engine, scope, "a{{ 'x' * 400000 }}") for _ in range(2)]
    assert caught.value.reason == "template-limit"


def test_removed_filters_are_unknown(engine: Engine) -> None:
    assert not set(sandbox._REMOVED_FILTERS) & engine.environment.filters.keys()


def test_splitting() -> None:
    assert split("a {{ b }} c{{ '}}' }}") == [
        Literal("a ", 0),
        Expression("b", 2),
        Literal(" c", 9),
        Expression("'}}'", 11),
    ]
    assert split("{% if x %}") is None
    with pytest.raises(Unfinished):
        split("{{ 'a }}")


def test_simple_files_do_not_import_jinja() -> None:
    import subprocess
    import sys

    code = (
        "import sys; sys.path.insert(0, '.');"
        "from tests.unit.language.memory import load_text;"
        "load_text('values: {a: 1}\\nservices: {s: {image: \"x:{{ values.a }}\"}}');"
        "sys.exit('jinja2' in sys.modules or 'jsonschema' in sys.modules or 'networkx' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_omit_removes_keys_and_items() -> None:
    parsed = service(
        "user: '{{ omit }}', command: [a, '{{ omit }}', b], environment: {A: '{{ omit }}', B: '{{ none }}'}"
    )
    assert (parsed.user, parsed.command, parsed.environment) == ("", ("a", "b"), {"B": None})


def test_scope_of_the_stack() -> None:
    stack = load_text("""\
        name: shop
        environments: {dev: {default: true}}
        services: {a: {image: x, labels: {n: "{{ stack.name }}-{{ stack.environment }}", d: "{{ stack.dir }}"}}}
        """)
    assert stack.services["a"].labels == {"n": "shop-dev", "d": "/project"}


def test_steps_to_a_value_are_known() -> None:
    stack = load_text("""\
        values: {level: info, both: "{{ values.level }}!"}
        services: {a: {image: x, environment: {L: "{{ values.both | upper }}"}}}
        """)
    origin = stack.origins["service.a/environment/L"]
    assert (origin.at.line, origin.at.column) == (2, 43)
    assert [(step.name, step.at.line, step.at.column) for step in origin.via] == [
        ("values.both", 1, 29),
        ("values.level", 1, 17),
    ]


def test_templates_are_no_syntax_in_compose_files() -> None:
    stack = load_text("services: {a: {image: x, command: ['{{.Name}}', '{% x %}']}}", "compose.yaml")
    assert stack.services["a"].command == ("{{.Name}}", "{% x %}")


def test_mistakes_of_members_are_reported_once() -> None:
    text = "services:\n  a: {for_each: [x, y, z], image: '{{ nope }}'}\n"
    assert errors_of(text) == [("template-undefined", "stack.yaml", 2, 36)]


def test_results_are_scalars_with_the_place_of_the_template(engine: Engine, scope: dict[str, Any]) -> None:
    node = engine.node(Template("{{ values.port }}", Place("f", 3, 4)), scope)
    assert isinstance(node, Scalar)
    assert node.place == Place("f", 3, 4)
