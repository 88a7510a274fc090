from __future__ import annotations

import pytest

from stackfile.errors import StackError
from stackfile.language.validate import find_cycle
from tests.unit.language.memory import errors_of, load_text


@pytest.mark.parametrize(
    ("edges", "cycle"),
    [
        ({}, []), ({"a": ["b"], "b": []}, []), ({"a": ["a"]}, ["a", "a"]), ({"a": ["b"], "b": ["a"]}, ["a", "b", "a"]),
        ({"x": ["a"], "a": ["b"], "b": ["c"], "c": ["a"]}, ["a", "b", "c", "a"]), ({"a": ["unknown"]}, []),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, []),
    ],
)  # fmt: skip
def test_finding_cycles(edges: dict[str, list[str]], cycle: list[str]) -> None:
    assert find_cycle(edges) == cycle


def test_long_chains_and_wide_graphs_are_fine() -> None:
    assert find_cycle({str(n): [str(n + 1)] for n in range(20_000)}) == []
    layers = {f"{n}-{m}": [f"{n + 1}-{k}" for k in range(10)] for n in range(50) for m in range(10)}
    assert find_cycle(layers) == []


def test_cycles_of_services_name_every_place() -> None:
    text = "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, network_mode: 'service:a'}\n"
    with pytest.raises(StackError) as caught:
        load_text(text)
    assert caught.value.reason == "dependency-cycle"
    assert [str(place) for place in (caught.value.at, *caught.value.stack)] == ["stack.yaml:2:30", "stack.yaml:3:31"]


def test_container_names_are_unique() -> None:
    text = "services:\n  a: {image: x, container_name: cc, scale: 2}\n  b: {image: x, container_name: cc}\n"
    assert errors_of(text) == [
        ("replicas-conflict", "stack.yaml", 2, 33),
        ("name-collision", "stack.yaml", 3, 33),
    ]


def test_two_mounts_at_one_target() -> None:
    assert errors_of("services: {a: {image: x, tmpfs: [/t], volumes: [/t]}}") == [
        ("name-collision", "stack.yaml", 1, 33)
    ]
    assert errors_of("services: {a: {image: x, volumes: [/t, /t/]}}") == [("name-collision", "stack.yaml", 1, 35)]


def test_what_compose_refuses_of_a_service_hides_no_other_mistake() -> None:
    text = (
        "services:\n"
        "  web:\n"
        "    image: x\n"
        "    restart: bogus\n"
        '    ports: ["8099:80", "70000:1"]\n'
        "    depends_on: {wb: {condition: service_helthy}, db: {condition: service_started}}\n"
        "    networks: [nope, bad]\n"
        "  db: {image: x, depends_on: [wb]}\n"
        "networks: {bad: {drivr: x}}\n"
    )
    assert errors_of(text, "compose.yaml") == [
        ("bad-value", "compose.yaml", 4, 14),
        ("bad-port", "compose.yaml", 5, 24),
        ("unknown-reference", "compose.yaml", 6, 18),
        ("bad-value", "compose.yaml", 6, 34),
        ("unknown-reference", "compose.yaml", 7, 16),
        ("unknown-reference", "compose.yaml", 8, 31),
        ("unknown-key", "compose.yaml", 9, 18),
    ]
