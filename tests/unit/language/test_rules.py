"""The rules of the language as tables, input → output: what the other files here do not look at yet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from stackfile.errors import StackfileError
from stackfile.language import dump
from stackfile.model.stack import SecretRef
from tests.unit.language.memory import DIRECTORY, errors_of, errors_of_files, load_files, load_text, service

VALUES = """\
values:
  names: [cy, ada, bo]
  ages: {ada: 36, bo: 7}
  people: [{name: ada, team: x, on: true}, {name: bo, team: y, on: false}, {name: cy, team: x, on: true}]
  text: "  Some <Text>  "
  size: 1536
  port: 1
  nothing: null
"""
USER = VALUES + "services:\n  s:\n    image: x\n    user: "
LINE, COLUMN = USER.count("\n") + 1, len("    user: ") + 1
"""Where a value behind USER begins; its text is one column further, behind the quote."""


def quoted(text: str) -> str:
    """As YAML's double-quoted text."""
    return json.dumps(text, ensure_ascii=False)


def value_of(expression: str) -> Any:
    """What an expression gives, with its type: of a value, that of its template is kept."""
    out = quoted(f"{{{{ {expression} }}}}")
    text = f"{VALUES}  out: [{out}]\nservices: {{s: {{image: x, labels: {{l: '{{{{ values.out | tojson }}}}'}}}}}}"
    (found,) = json.loads(load_text(text).services["s"].labels["l"])
    return found


# ---------------------------------------------------------------- expressions


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("values.names | sort", ["ada", "bo", "cy"]), ("values.names | sort(reverse=true) | first", "cy"),
        ("values.names | last", "bo"), ("values.names | join('-')", "cy-ada-bo"), ("values.names | length", 3),
        ("values.names | count", 3), ("values.names | reverse | list", ["bo", "ada", "cy"]),
        ("values.names | map('upper') | list", ["CY", "ADA", "BO"]), ("['a', 'b', 'a'] | unique | list", ["a", "b"]),
        ("values.names | select('in', ['bo']) | list", ["bo"]),
        ("values.names | reject('eq', 'bo') | list", ["cy", "ada"]),
        ("values.people | selectattr('on') | map(attribute='name') | list", ["ada", "cy"]),
        ("values.people | rejectattr('on') | map(attribute='name') | list", ["bo"]),
        ("values.people | selectattr('team', 'eq', 'x') | list | length", 2),
        ("(values.people | groupby('team') | first).grouper", "x"),
        ("values.ages | dictsort", [["ada", 36], ["bo", 7]]),
        ("values.ages | items | list", [["ada", 36], ["bo", 7]]), ("values.ages.keys() | list", ["ada", "bo"]),
        ("values.ages.values() | sum", 43), ("values.ages.values() | max", 36), ("[3, 1] | min", 1),
        ("values.ages.get('zed', 1)", 1), ("values.people | map(attribute='team') | unique | join", "xy"),
        ("values.text | trim", "Some <Text>"), ("values.text | trim | lower", "some <text>"), ("'ab' | upper", "AB"),
        ("'ab cd' | title", "Ab Cd"), ("'ab' | capitalize", "Ab"), ("'a-b' | replace('-', '_')", "a_b"),
        ("'12' | int", 12), ("'x' | int(5)", 5), ("'1.5' | float", 1.5), ("7 | string", "7"), ("-3 | abs", 3),
        ("2.567 | round(1)", 2.6), ("'a b c' | wordcount", 3), ("'abcdefghijkl' | truncate(4, true, '')", "abcd"),
        ("values.size | filesizeformat(true)", "1.5 KiB"), ("'a b/c' | urlencode", "a%20b/c"),
        ("'%s:%02d' | format('x', 7)", "x:07"), ("'x' | center(3)", " x "), ("'a,b'.split(',')", ["a", "b"]),
        ("[1, 2, 3] | batch(2) | list", [[1, 2], [3]]), ("[1, 2, 3] | slice(2) | list", [[1, 2], [3]]),
        ("{'a': [1]} | tojson", '{"a": [1]}'), ("'a' in values.names", False), ("not values.ages", False),
        ("1 if values.ages else 2", 1), ("values.names[1:]", ["ada", "bo"]), ("values['names'][0]", "cy"),
        ("7 // 2", 3), ("7 / 2", 3.5), ("2 ** 5", 32), ("7 % 4", 3), ("1 < 2 <= 2", True), ("'a' ~ 1 ~ true", "a1True"),
        ("none is none", True), ("values.nope is defined", False), ("values.nope is undefined", True),
        ("1 is number", True), ("'a' is string", True), ("1 is integer", True), ("true is boolean", True),
        ("values.ages is mapping", True), ("values.names is sequence", True), ("3 is odd", True), ("4 is even", True),
        ("9 is divisibleby(3)", True), ("'a' is in ['a']", True), ("2 is gt(1)", True),
        ("values.names is iterable", True),
        ("dict(a=1)", {"a": 1}), ("range(3) | list", [0, 1, 2]), ("values.nope | default('d')", "d"),
        ("'' | default('d', true)", "d"), ("values.nope | default([]) | length", 0),
        ("values.nope | default(none)", None),
    ],
)  # fmt: skip
def test_filters_and_tests(expression: str, expected: object) -> None:
    found = value_of(expression)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "name", ["pprint", "random", "xmlattr", "urlize", "safe", "escape", "e", "forceescape", "shout"]
)
def test_filters_that_are_none(name: str) -> None:
    assert errors_of(USER + quoted(f"{{{{ 1 | {name} }}}}")) == [("template-syntax", "stack.yaml", LINE, COLUMN + 1)]


# ---------------------------------------------------------------- what is in scope


@pytest.mark.parametrize(
    ("text", "reason", "offset", "hint"),
    [
        ("{{ valuse.a }}", "template-undefined", 1, "values"), ("{{ values.prot }}", "template-undefined", 1, "port"),
        ("{{ stack.nam }}", "template-undefined", 1, "name"), ("{{ stack.x | upper }}", "template-undefined", 1, ""),
        ("{{ env.HOEM }}", "template-undefined", 1, "HOME"), ("{{ each.key }}", "template-undefined", 1, "for_each"),
        ("{{ replica.index }}", "template-undefined", 1, "hostname"), ("{{ omitt }}", "template-undefined", 1, "omit"),
        ("{{ secrets.p }}", "template-undefined", 1, "secret"), ("{{ item }}", "template-undefined", 1, "each.key"),
        ("{{ values.ages.ada.x }}", "template-undefined", 1, ""), ("{{ now() }}", "template-undefined", 1, ""),
        ("x{{ values.prot | upper }}", "template-undefined", 2, "port"), ("{{ self }}", "template-undefined", 1, ""),
        ("{% if values.prot %}{% endif %}", "template-undefined", 1, "port"),
        ("{{ values['ages']['adda'] }}", "template-undefined", 1, "ada"), ("{{ loop }}", "template-undefined", 1, ""),
        ("{{ values.nothing.x }}", "template-undefined", 1, ""), ("{{ values.port() }}", "template-failed", 1, ""),
        ("{{ lookup('file', '/etc/passwd') }}", "template-undefined", 1, ""),
        ("{{ range }}", "template-undefined", 1, ""),
        ("a{{ none }}", "template-not-scalar", 2, "default"), ("a{{ omit }}", "template-not-scalar", 2, ""),
        ("a{{ values.nothing }}", "template-not-scalar", 2, "default"),
        ("a{{ [1] }}", "template-not-scalar", 2, "tojson"),
        ("a{{ values.ages }}", "template-not-scalar", 2, "tojson"), ("{{ 1 + 'a' }}", "template-failed", 1, ""),
        ("${A:-{{ env.HOME }}}", "template-in-interpolation", 1, "env.NAME"), ("{{ 'a' }", "template-syntax", 1, ""),
        ("{{ a.b. }}", "template-syntax", 1, ""), ("{{ 1 is nonsense }}", "template-syntax", 1, ""),
        ("{{ {{ 1 }} }}", "template-syntax", 1, ""), ("{% for %}", "template-syntax", 1, ""),
        ("{% endif %}", "template-syntax", 1, ""), ("{{ .Name }}", "template-syntax", 1, "Go"),
        ("{{ 'x' * 99999999 }}", "template-limit", 1, ""), ("a{% if none %}{{ nope }}{% endif %}{{ no }}",
        "template-undefined", 1, ""),
    ],
)  # fmt: skip
def test_mistakes_in_expressions(text: str, reason: str, offset: int, hint: str) -> None:
    with pytest.raises(StackfileError) as caught:
        load_text(USER + quoted(text), environ={"HOME": "/h"})
    error = caught.value
    assert (error.reason, str(error.at)) == (reason, f"stack.yaml:{LINE}:{COLUMN + offset}")
    assert hint in error.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ stack.name }}/{{ stack.environment }}/{{ stack.dir }}", "project//" + DIRECTORY),
        ("{{ env.HOME }}", "/h"), ("{{ env['HOME'] }}", "/h"), ("{{ env.NOPE | default('n') }}", "n"),
        ("{{ env.NOPE is defined }}x", "falsex"), ("$HOME{{ '' }}", "/h"), ("$$HOME{{ '' }}", "$HOME"),
        ("{{ '${HOME}' }}", "${HOME}"), ("{{ env.DOLLAR }}", "$HOME"), ("${DOLLAR}{{ '' }}", "$HOME"),
        ("{{ env.BRACES }}", "{{ 1 }}"), ("${BRACES}{{ '' }}", "{{ 1 }}"), ("{{ '{{ 1 }}' }}", "{{ 1 }}"),
        ("{{ values.port }}", "1"), ("x{{ true }}", "xtrue"), ("x{{ 1.50 }}", "x1.5"), ("{{ '1.10' }}", "1.10"),
        ("{{ 'yes' }}", "yes"), ("{% raw %}{{ x }} $$ $HOME{% endraw %}", "{{ x }} $ /h"), ("{# $HOME #}a", "a"),
        ("{% set a %}b{% endset %}{{ a }}{{ a }}", "bb"),
        ("{%- for k, v in values.ages.items() -%} {{ k }}={{ v }} {%- endfor -%}",
        "ada=36bo=7"),
        ("{% for n in values.names %}{{ loop.index }}{{ n }}{{ ',' if not loop.last }}{% endfor %}", "1cy,2ada,3bo"),
        ("{% macro m(a, b='d') %}{{ a }}{{ b }}{{ varargs | join }}{% endmacro %}{{ m(1) }}{{ m(1, 2, 3) }}", "1d123"),
        ("{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}{{ values.port }}{% endcall %}", "<1>"),
    ],
)  # fmt: skip
def test_what_is_in_scope_and_never_scanned_again(text: str, expected: str) -> None:
    environ = {"HOME": "/h", "DOLLAR": "$HOME", "BRACES": "{{ 1 }}"}
    assert load_text(USER + quoted(text), environ=environ).services["s"].user == expected


# ---------------------------------------------------------------- omit, for_each, when


def plain_of(text: str, path: str, **options: Any) -> Any:
    """What the canonical form has at a path; "absent" where there is nothing."""
    found: Any = dump.to_plain(load_text(text, **options))
    for name in path.split("."):
        found = found[int(name)] if isinstance(found, list) else found.get(name, "absent")
    return found


OMIT = '"{{ omit }}"'


@pytest.mark.parametrize(
    ("keys", "path", "expected"),
    [
        (f"hostname: {OMIT}", "hostname", "absent"), (f"command: [a, {OMIT}, b]", "command", ["a", "b"]),
        (f"environment: {{A: {OMIT}, B: b}}", "environment", {"B": "b"}),
        (f"environment: [A=a, {OMIT}]", "environment", {"A": "a"}),
        ("environment: {A: '{{ none }}'}", "environment", {"A": None}),
        ("environment: {A: }", "environment", {"A": None}),
        (f"labels: {{a: {OMIT}}}", "labels", "absent"),
        (f"deploy: {{resources: {{limits: {{memory: {OMIT}, cpus: 1}}}}}}", "mem_limit", "absent"),
        (f"healthcheck: {{test: x, interval: {OMIT}}}", "healthcheck.interval", "absent"),
        (f"ports: [{{target: 80, published: {OMIT}}}]", "ports.0.published", "absent"),
        ("ports: ['80:80', '{{ omit if true else 1 }}']", "ports.0.target", 80),
        (f"volumes: [{OMIT}]", "volumes", "absent"),
        (f"tmpfs: {OMIT}", "tmpfs", "absent"), ("user: '{{ env.NO | default(omit) }}'", "user", "absent"),
    ],
)  # fmt: skip
def test_omit_leaves_the_key_or_the_item_out(keys: str, path: str, expected: object) -> None:
    assert plain_of(f"services: {{a: {{image: x, {keys}}}}}", f"services.a.{path}") == expected


LISTS = """\
volumes: {v: , w: }
configs: {c: {content: c}, d: {content: d}}
secrets: {p: {generate: {}}, q: {generate: {}}}
"""


@pytest.mark.parametrize(
    ("keys", "field", "expected"),
    [
        ("volumes: [{for_each: [v, w], type: volume, source: '{{ each.key }}', target: '/{{ each.key }}'}]",
         "mounts", ["v", "w"]),
        ("volumes: [{when: false, type: volume, source: v, target: /v}, w:/w]", "mounts", ["w"]),
        ("volumes: [{for_each: [v, w], when: '{{ each.index > 1 }}', type: volume, source: w, target: /w}]",
         "mounts", ["w"]),
        ("configs: [{for_each: [c, d], source: '{{ each.value }}'}]", "files", ["c", "d"]),
        ("configs: [{when: '{{ 1 > 2 }}', source: c}, d]", "files", ["d"]),
        ("secrets: [{for_each: {p: 1, q: 2}, source: '{{ each.key }}', target: '/{{ each.index }}'}]", "files", ["p",
         "q"]),
        ("secrets: [{when: true, source: p}]", "files", ["p"]),
        ("devices: [{for_each: [a, b], source: '/dev/{{ each.key }}', target: '/dev/{{ each.key }}'}]", "devices",
         ["/dev/a", "/dev/b"]),
    ],
)  # fmt: skip
def test_items_of_typed_lists_have_loops_and_conditions(keys: str, field: str, expected: list[str]) -> None:
    found = service(keys, LISTS)
    assert [item.source for item in getattr(found, field)] == expected


@pytest.mark.parametrize("section", ["images", "services", "networks", "volumes", "configs", "secrets"])
def test_every_section_has_conditions(section: str) -> None:
    rest = {
        "images": "from: scratch", "services": "image: x", "configs": "content: c", "secrets": "generate: {}",
        "networks": "internal: true", "volumes": "driver: local",
    }[section]  # fmt: skip
    text = (
        f"values: {{on: {{a: true, b: false}}}}\n{section}:\n"
        f"  x: {{when: '{{{{ values.on.a }}}}', {rest}}}\n  y: {{when: '{{{{ values.on.b }}}}', {rest}}}\n"
        f"  z: {{for_each: '{{{{ values.on }}}}', when: '{{{{ each.value }}}}', {rest}}}\n"
    )
    assert [name for name in getattr(load_text(text), section) if name != "default"] == ["x", "z-a"]


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ("labels: {when: a, for_each: b}", "labels"),
        ("environment: {when: a, for_each: b}", "environment"),
        ("annotations: {when: a, for_each: b}", "annotations"),
        ("extra_hosts: {when: 10.0.0.1}", "extra_hosts"),
        ("sysctls: {when: a}", "sysctls"),
    ],
)
def test_free_maps_take_any_key(keys: str, path: str) -> None:
    assert "when" in str(plain_of(f"services: {{a: {{image: x, {keys}}}}}", f"services.a.{path}"))


@pytest.mark.parametrize(
    ("loop", "expected"),
    [
        ("[a, 1, 2.5, true]", ["w-a", "w-1", "w-2.5", "w-true"]), ("{a: , b: }", ["w-a", "w-b"]),
        ("'{{ values.people }}'", ["w-ada", "w-bo", "w-cy"]), ("'{{ values.ages }}'", ["w-ada", "w-bo"]),
        ("'{{ values.names | sort }}'", ["w-ada", "w-bo", "w-cy"]),
        ("'{{ values.ages.items() | map(\"first\") }}'", ["w-ada", "w-bo"]),
        ("'{{ [] }}'", []), ("[{name: a}, b]", ["w-a", "w-b"]),
    ],
)  # fmt: skip
def test_what_a_loop_takes(loop: str, expected: list[str]) -> None:
    assert list(load_text(f"{VALUES}services: {{w: {{image: x, for_each: {loop}}}}}").services) == expected


def test_each_index_counts_before_conditions() -> None:
    text = "services: {w: {image: x, for_each: [a, b, c], when: '{{ each.index != 2 }}', user: '{{ each.index }}'}}"
    assert {name: each.user for name, each in load_text(text).services.items()} == {"w-a": "1", "w-c": "3"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("services: {'{{ each.value }}': {image: x, for_each: {a: s, b: s}}}", ("name-collision", 1, 12)),
        ("services: {w: {image: x, for_each: '{{ none }}'}}", ("bad-type", 1, 36)),
        ("services: {w: {image: x, for_each: text}}", ("bad-type", 1, 36)),
        ("services: {w: {image: x, for_each: [{name: 1}]}}", ("bad-type", 1, 36)),
        ("services: {w: {image: x, when: '{{ \"maybe\" }}'}}", ("bad-type", 1, 32)),
        ("services: {w: {image: x, when: 1.5}}", ("bad-type", 1, 32)),
        ("services: {w: {image: x, labels: {'{{ [1] }}': a}}}", ("bad-type", 1, 35)),
        ("services: {w: {image: x, ports: [{for_each: 5, target: 80}]}}", ("bad-type", 1, 45)),
        ("services: {w: {image: x, networks: {'n-{{ each.key }}': {}}}}", ("template-undefined", 1, 37)),
        ("services: {w: {image: x, depends_on: {'{{ 1 }}': {condition: service_started}}}}",
         ("unknown-reference", 1, 39)),
        ("services: {w: {image: x, for_each: [a], depends_on: [w]}}", ("dependency-cycle", 1, 54)),
    ],
)  # fmt: skip
def test_mistakes_of_loops(text: str, found: tuple[str, int, int]) -> None:
    assert [(reason, line, column) for reason, _, line, column in errors_of(text)] == [found]


# ---------------------------------------------------------------- groups


GROUPS = """\
services:
  w: {image: x, for_each: [a, b], profiles: [p]}
  v: {image: x, depends_on: [w], profiles: [p]}
  u: {image: x, depends_on: {w: {condition: service_healthy, restart: true}}}
  "t-{{ each.key }}-t": {image: x, for_each: [a], depends_on: {"w-{{ each.key }}": {condition: service_started}}}
"""


def test_a_group_is_named_in_depends_on_and_on_the_command_line_and_is_no_name_of_the_network() -> None:
    stack = load_text(GROUPS, profiles=("p",))
    assert stack.groups == {"w": ("w-a", "w-b"), "t-{{ each.key }}-t": ("t-a-t",)}
    assert list(stack.services["v"].depends_on) == list(stack.services["u"].depends_on) == ["w-a", "w-b"]
    assert all(dependency.restart for dependency in stack.services["u"].depends_on.values())
    assert list(stack.services["t-a-t"].depends_on) == ["w-a"]
    assert all("w" not in each.aliases for each in stack.services["w-a"].networks)
    named = load_text(
        GROUPS.replace("[w], profiles: [p]", "[w]").replace("profiles: [p]}", "profiles: [q]}"), services=("w",)
    )
    assert {"w-a", "w-b"} <= set(named.services), "what is named is loaded whatever its profile"


# ---------------------------------------------------------------- replicas


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ("healthcheck: {test: '{{ replica.index }}'}", "healthcheck"),
        ("networks: {n: {aliases: ['{{ replica.index }}']}}", "networks"),
        ("secrets: ['{{ replica.index }}']", "secrets"), ("mem_limit: '{{ replica.count }}m'", "mem_limit"),
        ("entrypoint: ['{{ replica.index }}']", "entrypoint"), ("deploy: {replicas: '{{ replica.count }}'}", "deploy"),
        ("extra_hosts: ['a:{{ replica.index }}']", "extra_hosts"), ("tmpfs: ['/{{ replica.index }}']", "tmpfs"),
    ],
)  # fmt: skip
def test_replica_is_refused_where_replicas_are_equal(keys: str, path: str) -> None:
    found = errors_of(f"services:\n  a:\n    image: x\n    {keys}\nnetworks: {{n: }}\n")
    assert [(reason, line) for reason, _, line, _ in found][:1] == [("template-undefined", 4)]
    assert found[0][3] == f"    {keys}".index("{{ replica") + 1


def test_ports_of_several_replicas() -> None:
    shared = service("scale: 2, ports: ['80:80', {target: 81, published: 81, mode: ingress}]")
    assert [port.mode for port in shared.ports] == ["ingress", "ingress"]
    keys = "scale: 2, ports: [{target: 81, published: 81, mode: host}]"
    assert errors_of(f"services: {{a: {{image: x, {keys}}}}}") == [("port-collision", "stack.yaml", 1, 44)]
    own = service(
        "scale: 2, ports: ['{{ 8000 + replica.index }}:80'], hostname: 'h{{ replica.index }}of{{ replica.count }}'"
    )
    assert [[port.published for port in each.ports] for each in own.variants] == [[8001], [8002]]
    assert [each.hostname for each in own.variants] == ["h1of2", "h2of2"]
    assert own.counts_replicas


# ---------------------------------------------------------------- values and environments


ORDER = {
    "stack.yaml": "values: {a: 1, b: 1, c: 1, d: 1, e: 1, m: {x: 1, y: 1}, l: [1, 2]}\n"
    "environments: {base: {values: {c: 3, m: {x: 3}}}, e: {extends: base, values: {d: 4, l: [4]}}}\n"
    "services: {s: {image: x, labels: {v: '{{ values | tojson }}'}}}\n",
    "two.stack.yaml": "values: {b: 2, c: 2, m: {x: 2}}\n",
    "v.yaml": "d: 5\ne: 5\nm: {y: !reset null}\n",
}


def test_later_words_win() -> None:
    stack = load_files(
        ORDER,
        files=("stack.yaml", "two.stack.yaml"),
        environment="e",
        values_files=("v.yaml",),
        sets=(("set", "e=6"), ("set", "m.x=6")),
    )
    assert json.loads(stack.services["s"].labels["v"]) == {
        "a": 1, "b": 2, "c": 3, "d": 5, "e": 6, "m": {"x": 6}, "l": [4],
    }  # fmt: skip


def test_an_environment_of_its_own_file_may_extend_another() -> None:
    files = {
        "stack.yaml": "values: {a: 1, b: 1}\nenvironments: {base: {values: {a: 2}}, prod: prod.yaml}\n"
        "services: {s: {image: x, user: '{{ values.a }}{{ values.b }}{{ stack.environment }}'}}\n",
        "prod.yaml": "extends: base\nvalues: {b: 3}\nprofiles: [p]\nservices: {t: {image: y, profiles: [p]}}\n",
    }
    stack = load_files(files, environ={"STACKFILE_ENVIRONMENT": "prod"})
    assert (stack.services["s"].user, list(stack.services)) == ("23prod", ["s", "t"])


@pytest.mark.parametrize(
    ("over", "field", "expected"),
    [
        ("command: [z]", "command", ("z",)), ("environment: {B: 2}", "environment", {"A": "1", "B": "2"}),
        ("environment: !override {B: 2}", "environment", {"B": "2"}), ("environment: !reset null", "environment", {}),
        ("environment: {A: !reset null}", "environment", {}), ("dns: [9.9.9.9]", "dns", ("1.1.1.1", "9.9.9.9")),
        ("dns: !override [9.9.9.9]", "dns", ("9.9.9.9",)), ("dns: !reset []", "dns", ()),
        ("user: !reset null", "user", ""),
        ("user: '{{ stack.environment }}'", "user", "e"), ("cap_add: [B]", "cap_add", ("A", "B")),
    ],
)  # fmt: skip
def test_environments_merge_as_compose_files_do(over: str, field: str, expected: object) -> None:
    text = (
        f"environments: {{e: {{services: {{s: {{{over}}}}}}}}}\n"
        "services: {s: {image: x, user: u, command: [a], environment: {A: 1}, dns: [1.1.1.1], cap_add: [A]}}"
    )
    assert getattr(load_text(text, environment="e").services["s"], field) == expected


@pytest.mark.parametrize(
    ("values", "reason", "line", "column"),
    [
        ("{a: '{{ values.b }}', b: '{{ values.a }}'}", "values-cycle", 1, 13),
        ("{a: '{{ values.a }}'}", "values-cycle", 1, 13),
        ("{a: [1], b: '{{ values.a.x }}'}", "template-undefined", 1, 22),
        ("{a: '{{ each.key }}'}", "template-undefined", 1, 14),
        ("{a: '{{ replica.index }}'}", "template-undefined", 1, 14),
        ("{a: '{{ secrets.x }}'}", "template-undefined", 1, 14), ("{a: '{{ 1 / 0 }}'}", "template-failed", 1, 14),
        ("{a: 'x{{ values.b }}', b: {c: 1}}", "template-not-scalar", 1, 15),
        ("{a: {{ 1 }}}", "unquoted-template", 1, 13),
    ],
)  # fmt: skip
def test_mistakes_of_values(values: str, reason: str, line: int, column: int) -> None:
    assert errors_of(f"values: {values}\nservices: {{}}\n")[0] == (reason, "stack.yaml", line, column)


# ---------------------------------------------------------------- configs, secrets, other stacks


FILES: Mapping[str, str] = {"c.txt": "{{ values.port }} $HOME\n", "c.j2": "{{ values.port }}\n"}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("{file: c.txt}", "{{ values.port }} $HOME\n"), ("{file: c.txt, template_driver: jinja}", "1 $HOME\n"),
        ("{file: c.j2}", "{{ values.port }}\n"), ("{content: '{{ values.port }} ${HOME}'}", "1 /h"),
        ("{content: '{{ values | length }}'}", "7"), ("{environment: HOME}", "/h"),
        ("{file: '{{ \"c\" }}.j2', template_driver: jinja}", "1\n"),
    ],
)  # fmt: skip
def test_config_files_are_templates_only_where_they_say_so(config: str, expected: str) -> None:
    files = {"stack.yaml": f"{VALUES}configs: {{c: {config}}}\n", **FILES}
    assert load_files(files, environ={"HOME": "/h"}).configs["c"].content == expected


@pytest.mark.parametrize(
    ("secret", "expected"),
    [
        ("{content: plain}", ("plain",)), ("{content: '{{ secrets.p }}'}", (SecretRef("p"),)),
        ("{content: 'a{{ secrets.p }}b{{ secrets.q }}'}", ("a", SecretRef("p"), "b", SecretRef("q"))),
        ("{content: \"{{ secrets['p'] }}:{{ values.port }}\"}", (SecretRef("p"), ":1")),
        ("{content: \"{% for n in ['p', 'q'] %}{{ secrets[n] }};{% endfor %}\"}",
         (SecretRef("p"), ";", SecretRef("q"), ";")),
        ("{environment: TOKEN}", ("t$k",)), ("{file: c.txt}", ("{{ values.port }} $HOME\n",)),
    ],
)  # fmt: skip
def test_secrets_are_composed(secret: str, expected: object) -> None:
    text = f"{VALUES}secrets: {{s: {secret}, p: {{generate: {{}}}}, q: {{generate: {{length: 8, charset: hex}}}}}}\n"
    assert load_files({"stack.yaml": text, **FILES}, environ={"TOKEN": "t$k"}).secrets["s"].content == expected


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("secrets: {s: {content: '{{ secrets.nope }}'}}", ("unknown-reference", 1, 24)),
        ("secrets: {s: {content: '{{ secrets.s }}'}}", ("dependency-cycle", 1, 24)),
        ("secrets: {s: {content: x, generate: {}}}", ("bad-value", 1, 15)),
        ("secrets: {s: {}}", ("missing-key", 1, 14)), ("secrets: {s: {generate: {length: 0}}}", ("bad-value", 1, 34)),
        ("configs: {c: {content: '{{ secrets.p }}'}}\nsecrets: {p: {generate: {}}}", ("template-undefined", 1, 25)),
        ("services: {a: {image: x, environment: {A: '{{ secrets.p }}'}}}\nsecrets: {p: {generate: {}}}",
         ("template-undefined", 1, 44)),
        ("services: {a: {image: x, environment: {A: {secret: nope}}}}", ("unknown-reference", 1, 43)),
        ("services: {a: {image: x, secrets: [nope]}}", ("unknown-reference", 1, 36)),
        ("services: {a: {image: x, configs: [{source: c, on_change: reload}]}}\nconfigs: {c: {content: x}}",
         ("bad-value", 1, 59)),
        ("services: {a: {image: x, depends_on: {/b: {condition: service_started}}}}", ("bad-name", 1, 39)),
        ("networks: {n: {external: {stack: a, netwrk: b}}}", ("missing-key", 1, 26)),
    ],
)  # fmt: skip
def test_mistakes_of_secrets_configs_and_other_stacks(text: str, found: tuple[str, int, int]) -> None:
    assert [(reason, line, column) for reason, _, line, column in errors_of(text)][:1] == [found]


@pytest.mark.parametrize("word", ["restart", "recreate", "none", "SIGHUP", "SIGUSR1"])
@pytest.mark.parametrize("kind", ["configs", "secrets"])
def test_what_a_change_of_content_does(kind: str, word: str) -> None:
    found = service(f"{kind}: [{{source: c, on_change: {word}}}]", f"{kind}: {{c: {{content: x}}}}")
    assert [file.on_change for file in found.files] == [word]
    assert [file.on_change for file in service(f"{kind}: [c]", f"{kind}: {{c: {{content: x}}}}").files] == ["restart"]


def test_other_stacks() -> None:
    stack = load_text("""\
        values: {other: data}
        services:
          a:
            image: x
            depends_on: {"{{ values.other }}/postgres": {condition: service_healthy}, b: {condition: service_started}}
            networks: {n: {}}
          b: {image: x, environment: {DB: postgres.data}}
        networks: {n: {external: {stack: "{{ values.other }}", network: default}}}
        """)
    assert list(stack.services["a"].depends_on) == ["data/postgres", "b"]
    assert (stack.networks["n"].full_name, stack.networks["n"].external) == ("data_default", True)


def test_two_files_may_be_wrong_at_once() -> None:
    files = {
        "stack.yaml": "values: {a: '{{ nope }}'}\nenvironments: {e: e.yaml}\nservices: {s: {image: '{{ gone }}'}}\n",
        "e.yaml": "services: {s: {user: '{{ lost }}'}}\n",
    }
    assert errors_of_files(files, environment="e") == [
        ("template-undefined", "e.yaml", 1, 23),
        ("template-undefined", "stack.yaml", 1, 14),
        ("template-undefined", "stack.yaml", 3, 24),
    ]
