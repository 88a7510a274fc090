from __future__ import annotations

import pytest

from tests.unit.language.memory import errors_of, load_text, service


def test_replicas_are_equal_where_nothing_depends_on_them() -> None:
    parsed = service("deploy: {replicas: 3}")
    assert (parsed.replicas, parsed.variants, parsed.counts_replicas) == (3, (), False)


@pytest.mark.parametrize(
    ("keys", "field", "values"),
    [
        ("hostname: 'h{{ replica.index }}'", "hostname", ["h1", "h2"]),
        ("environment: {I: '{{ replica.index }}'}", "environment", [{"I": "1"}, {"I": "2"}]),
        ("command: [run, '{{ replica.index }}']", "command", [("run", "1"), ("run", "2")]),
        ("labels: {i: '{{ replica.index - 1 }}'}", "labels", [{"i": "0"}, {"i": "1"}]),
    ],
)
def test_every_replica_has_its_variant(keys: str, field: str, values: list[object]) -> None:
    parsed = service(f"{keys}, scale: 2")
    assert [getattr(variant, field) for variant in parsed.variants] == values
    assert getattr(parsed, field) == values[0]
    assert not parsed.counts_replicas


def test_volumes_ports_and_cpus_by_replica() -> None:
    parsed = service(
        "scale: 2, volumes: ['d{{ replica.index }}:/d'], ports: ['{{ 8000 + replica.index }}:80'], "
        "cpuset: '{{ replica.index - 1 }}'",
        "volumes: {d1: , d2: }",
    )
    assert [variant.mounts[0].source for variant in parsed.variants] == ["d1", "d2"]
    assert [variant.ports[0].published for variant in parsed.variants] == [8001, 8002]
    assert [variant.resources.cpuset for variant in parsed.variants] == ["0", "1"]


def test_the_number_of_replicas_is_known_to_count() -> None:
    parsed = service("scale: 2, environment: {N: '{{ replica.count }}'}")
    assert [variant.environment for variant in parsed.variants] == [{"N": "2"}, {"N": "2"}]
    assert parsed.counts_replicas


def test_config_content_by_replica() -> None:
    stack = load_text("""\
        services:
          a: {image: x, scale: 2, configs: [{source: c, target: /c}, d]}
          b: {image: x, configs: [c]}
        configs:
          c: {content: "{{ replica.index }}/{{ replica.count }}"}
          d: {content: same}
        """)
    assert stack.configs["c"].content is None
    assert stack.configs["d"].content == "same"
    assert [[file.content for file in v.files] for v in stack.services["a"].variants] == [["1/2", None], ["2/2", None]]
    assert stack.services["a"].counts_replicas
    assert [file.content for file in stack.services["b"].variants[0].files] == ["1/1"]


@pytest.mark.parametrize("key", ["user", "image", "working_dir", "mem_limit", "container_name", "stop_signal"])
def test_replica_is_out_of_scope_elsewhere(key: str) -> None:
    text = (
        f"services:\n  a:\n    {'image: x' if key != 'image' else 'tty: true'}\n    {key}: '{{{{ replica.index }}}}'\n"
    )
    assert errors_of(text) == [("template-undefined", "stack.yaml", 4, len(key) + 8)]


def test_scale_of_the_command_line_counts() -> None:
    assert service("deploy: {replicas: 2}", scale={"a": 5}).replicas == 5
    assert service("scale: 0").replicas == 0
    stack = load_text("services: {w: {image: x, for_each: [a, b]}}", scale={"w": 3})
    assert [entry.replicas for entry in stack.services.values()] == [3, 3]
    assert errors_of("services: {}", scale={"no": 2}) == [("unknown-reference", "--scale no=2", 0, 0)]


def test_two_counts_that_differ() -> None:
    text = "services: {a: {image: x, scale: 2, deploy: {replicas: 3}}}"
    assert errors_of(text) == [("replicas-conflict", "stack.yaml", 1, 33)]
    assert service("scale: 2, deploy: {replicas: 2}").replicas == 2


def test_replicas_from_values() -> None:
    stack = load_text("values: {n: 4}\nservices: {a: {image: x, deploy: {replicas: '{{ values.n }}'}}}")
    assert stack.services["a"].replicas == 4
    assert stack.origins["service.a/deploy/replicas"].via[0].name == "values.n"


@pytest.mark.parametrize("count", ["-1", "x", "1.5", "[1]"])
def test_counts_that_are_none(count: str) -> None:
    text = f"services: {{a: {{image: x, scale: {count}}}}}"
    assert [(line, column) for _, _, line, column in errors_of(text)] == [(1, 33)]
