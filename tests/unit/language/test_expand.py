from __future__ import annotations

import pytest

from stackfile.model.stack import Dependency
from tests.unit.language.memory import errors_of, load_text, service


def names(text: str) -> list[str]:
    return list(
        load_text(f"values: {{m: {{a: {{x: 1}}, b: {{x: 2}}}}, l: [p, 7], s: one}}\nservices: {{{text}}}").services
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("w: {image: x, for_each: '{{ values.m }}'}", ["w-a", "w-b"]),
        ("w: {image: x, for_each: '{{ values.l }}'}", ["w-p", "w-7"]),
        ("w: {image: x, for_each: [a, b]}", ["w-a", "w-b"]),
        ("w: {image: x, for_each: {a: 1, b: 2}}", ["w-a", "w-b"]),
        ("w: {image: x, for_each: [{name: a, x: 1}, {name: b}]}", ["w-a", "w-b"]),
        ("w: {image: x, for_each: ['{{ values.s }}', '{{ omit }}', b]}", ["w-one", "w-b"]),
        ("'{{ each.key }}-w': {image: x, for_each: [a, b]}", ["a-w", "b-w"]),
        ("'w{{ values.s }}': {image: x}", ["wone"]),
        ("w: {image: x, for_each: []}", []),
        ("w: {image: x, for_each: '{{ range(2) }}'}", ["w-0", "w-1"]),
        ("w: {image: x, for_each: '{{ values.m }}', when: \"{{ each.key != 'a' }}\"}", ["w-b"]),
        ("w: {image: x, when: false}", []), ("w: {image: x, when: '{{ values.m | length > 5 }}'}", []),
        ("w: {image: x, when: '{{ values.nope is defined }}'}", []), ("w: {image: x, when: true}", ["w"]),
        ("w: {image: x, when: '${NO:-false}'}", []),
    ],
)  # fmt: skip
def test_members(text: str, expected: list[str]) -> None:
    assert names(text) == expected


def test_what_each_is() -> None:
    stack = load_text("""\
        values: {m: {a: {x: 1}, b: {x: 2}}}
        services:
          w:
            image: x
            for_each: "{{ values.m }}"
            labels: {k: "{{ each.key }}", i: "{{ each.index }}", v: "{{ each.value.x }}"}
        """)
    assert [entry.labels for entry in stack.services.values()] == [
        {"k": "a", "i": "1", "v": "1"},
        {"k": "b", "i": "2", "v": "2"},
    ]
    (step,) = stack.origins["service.w-b/labels/v"].via
    assert (step.name, step.at.line, step.at.column) == ("values.m.b.x", 1, 32)


def test_groups_stand_for_their_members() -> None:
    stack = load_text("""\
        services:
          w: {image: x, for_each: [a, b]}
          z: {image: x, depends_on: {w: {condition: service_healthy}}, scale: 1}
          y: {image: x, depends_on: [w-a]}
        """)
    assert stack.groups == {"w": ("w-a", "w-b")}
    healthy = Dependency(condition="service_healthy")
    assert stack.services["z"].depends_on == {"w-a": healthy, "w-b": healthy}
    assert stack.services["y"].depends_on == {"w-a": Dependency()}


def test_reference_maps_have_template_keys() -> None:
    stack = load_text("""\
        services:
          w:
            image: x
            for_each: [a]
            networks: {default: {}, "n-{{ each.key }}": {}}
            depends_on: {"c-{{ each.key }}": {condition: service_started}}
          v: {image: x, for_each: [a], networks: ["n-{{ each.key }}"], depends_on: ["c-{{ each.key }}"]}
          c: {image: x, for_each: [a]}
        networks: {n: {for_each: [a], internal: true}}
        """)
    assert [entry.network for entry in stack.services["w-a"].networks] == ["default", "n-a"]
    assert list(stack.services["w-a"].depends_on) == ["c-a"]
    assert [entry.network for entry in stack.services["v-a"].networks] == ["n-a"]
    assert list(stack.services["v-a"].depends_on) == ["c-a"]
    assert stack.networks["n-a"].internal


def test_loops_of_every_kind_of_resource() -> None:
    loop = "for_each: [a, b]"
    stack = load_text(f"""\
        images: {{i: {{{loop}, from: scratch}}}}
        services: {{s: {{{loop}, image: "i-{{{{ each.key }}}}"}}}}
        networks: {{n: {{{loop}}}}}
        volumes: {{v: {{{loop}}}}}
        configs: {{c: {{{loop}, content: "{{{{ each.key }}}}"}}}}
        secrets: {{t: {{{loop}, generate: {{}}}}}}
        """)
    sections = (stack.images, stack.networks, stack.volumes, stack.configs, stack.secrets)
    assert [list(section)[:2] for section in sections] == [[f"{name}-a", f"{name}-b"] for name in "invct"]
    assert stack.services["s-b"].image_is_stack_image
    assert stack.configs["c-b"].content == "b"


def test_items_of_lists_and_steps() -> None:
    stack = load_text("""\
        images:
          i:
            from: scratch
            steps:
              - {for_each: [a, b], copy: {source: "./{{ each.key }}", target: /}}
              - {when: false, user: root}
              - {when: true, workdir: /x}
        services:
          s:
            image: i
            ports:
              - {for_each: {x: 81, y: 82}, target: 80, published: "{{ each.value }}"}
              - {when: "{{ 1 > 2 }}", target: 90}
        """)
    assert [(step.kind, step.source, step.text) for step in stack.images["i"].steps] == [
        ("copy", ("./a",), ""),
        ("copy", ("./b",), ""),
        ("workdir", (), "/x"),
    ]
    assert [port.published for port in stack.services["s"].ports] == [81, 82]


def test_free_maps_have_no_loops() -> None:
    parsed = service("labels: {when: never, for_each: x}, environment: {when: ''}")
    assert (parsed.labels, parsed.environment) == ({"when": "never", "for_each": "x"}, {"when": ""})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("services: {w: {image: x, for_each: 5}}", ("bad-type", "stack.yaml", 1, 36)),
        ("services: {w: {image: x, for_each: [{a: 1}]}}", ("bad-type", "stack.yaml", 1, 36)),
        ("services: {w: {image: x, for_each: [[1]]}}", ("bad-type", "stack.yaml", 1, 36)),
        ("services: {w: {image: x, for_each: [a, a]}}", ("name-collision", "stack.yaml", 1, 36)),
        ("services: {w: {image: x, for_each: [a]}, w-a: {image: x}}", ("name-collision", "stack.yaml", 1, 42)),
        ("services: {w: {image: x, when: maybe}}", ("bad-type", "stack.yaml", 1, 32)),
        ("services: {w: {image: x, when: [1]}}", ("bad-type", "stack.yaml", 1, 32)),
        ("services: {w: {image: x, for_each: '{{ nope }}'}}", ("template-undefined", "stack.yaml", 1, 37)),
        ("services: {'a b': {image: x}}", ("bad-name", "stack.yaml", 1, 12)),
        ("services: {w: {image: x, for_each: ['a b']}}", ("bad-name", "stack.yaml", 1, 12)),
        ("services: {'w{{ [1] }}': {image: x}}", ("template-not-scalar", "stack.yaml", 1, 12)),
        ("services: {w: {image: x, for_each: '{{ range(20000) }}'}}", ("template-limit", "stack.yaml", 1, 12)),
        ("services: []", ("not-a-mapping", "stack.yaml", 1, 11)),
        ("services: {w: x}", ("not-a-mapping", "stack.yaml", 1, 15)),
        ("services: {w: {image: x, labels: {'{{ 1 }}': a, '1': b}}}", ("duplicate-key", "stack.yaml", 1, 49)),
    ],
)
def test_mistakes(text: str, found: tuple[str, str, int, int]) -> None:
    assert errors_of(text) == [found]


def test_what_when_left_out_is_named_in_the_hint() -> None:
    text = "services: {a: {image: x, depends_on: [b]}, b: {image: x, when: false}}"
    assert errors_of(text) == [("unknown-reference", "stack.yaml", 1, 39)]
