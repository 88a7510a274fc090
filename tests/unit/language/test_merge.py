"""Override files by Compose's rules; every result was compared with Compose v5."""

from __future__ import annotations

import pytest

from stackfile.model.stack import Dependency, Service, Ulimit
from tests.unit.language.memory import errors_of_files, load_files


def merged(
    base: str, over: str, extra: str = "volumes: {v: , w: }\nnetworks: {n: , m: }\nconfigs: {c: {content: x}}"
) -> Service:
    files = {
        "compose.yaml": f"services: {{a: {{image: x, {base}}}, b: {{image: y}}}}\n{extra}\n",
        "compose.override.yaml": f"services: {{a: {{{over}}}}}\n",
    }
    return load_files(files).services["a"]


@pytest.mark.parametrize(
    ("base", "over", "field", "value"),
    [
        ("user: a", "user: b", "user", "b"),
        ("command: [a, b]", "command: [c]", "command", ("c",)),
        ("entrypoint: [a, b]", "entrypoint: c d", "entrypoint", ("c", "d")),
        ("environment: {A: 1, B: 2}", "environment: [B=3, C=4]", "environment", {"A": "1", "B": "3", "C": "4"}),
        ("labels: [x=1, y=2]", "labels: {y: 3}", "labels", {"x": "1", "y": "3"}),
        ("dns: 1.1.1.1", "dns: [8.8.8.8, 1.1.1.1]", "dns", ("1.1.1.1", "8.8.8.8")),
        ("cap_add: [A]", "cap_add: [B, A]", "cap_add", ("A", "B")),
        ("security_opt: [a]", "security_opt: [b]", "security_opt", ("a", "b")),
        ("extra_hosts: ['h:1.2.3.4']", "extra_hosts: {i: 5.6.7.8}", "extra_hosts", ("h=1.2.3.4", "i=5.6.7.8")),
        ("ulimits: {nofile: 10}", "ulimits: {nofile: {soft: 1, hard: 2}}", "ulimits",
         (Ulimit(name="nofile", soft=1, hard=2),)),
        ("sysctls: {a: 1}", "sysctls: [a=2]", "sysctls", {"a": "2"}),
        ("user: a", "user: !reset null", "user", ""),
        ("dns: [a, b]", "dns: !reset []", "dns", ()),
        ("dns: [a, b]", "dns: !override [c]", "dns", ("c",)),
        ("labels: {a: 1}", "labels: !override {b: 2}", "labels", {"b": "2"}),
        ("environment: {A: 1, B: 2}", "environment: {A: !reset null}", "environment", {"B": "2"}),
        ("dns: [a]", "dns: null", "dns", ("a",)),
    ],
)  # fmt: skip
def test_rules_of_keys(base: str, over: str, field: str, value: object) -> None:
    assert getattr(merged(base, over), field) == value


def test_ports_keep_the_last_of_each() -> None:
    parsed = merged("ports: ['80:80', '90:90']", "ports: ['80:80', {target: 81, published: 81}]")
    assert [(port.published, port.target) for port in parsed.ports] == [(80, 80), (90, 90), (81, 81)]


def test_volumes_are_known_by_their_target() -> None:
    parsed = merged("volumes: ['v:/data', '/anon']", "volumes: ['w:/data:ro']")
    assert [(mount.source, mount.target, mount.read_only) for mount in parsed.mounts] == [
        ("w", "/data", True),
        ("", "/anon", False),
    ]


def test_references_merge_as_mappings() -> None:
    parsed = merged("networks: [n], depends_on: [b]", "networks: {m: {aliases: [q]}}, depends_on: {b: {restart: true}}")
    assert [(entry.network, entry.aliases) for entry in parsed.networks] == [("n", ()), ("m", ("q",))]
    assert parsed.depends_on == {"b": Dependency(restart=True)}


def test_configs_are_known_by_their_target() -> None:
    parsed = merged("configs: [c]", "configs: [{source: c, target: /c, mode: 0400}]")
    assert [(file.target, file.mode) for file in parsed.files] == [("/c", 0o400)]


def test_health_checks_merge_but_their_test_is_replaced() -> None:
    parsed = merged("healthcheck: {test: [CMD, a], interval: 5s}", "healthcheck: {test: b, retries: 2}")
    assert parsed.healthcheck is not None
    assert (parsed.healthcheck.test, parsed.healthcheck.retries) == (("CMD-SHELL", "b"), 2)
    assert parsed.healthcheck.interval == 5_000_000_000


def test_another_kind_of_value_is_a_conflict() -> None:
    files = {
        "stack.yaml": "services: {a: {image: x, deploy: {}}}",
        "stack.override.yaml": "services: {a: {deploy: []}}",
    }
    assert errors_of_files(files) == [("merge-conflict", "stack.override.yaml", 1, 24)]


def test_several_files_in_their_order() -> None:
    files = {
        "one.yaml": "services: {a: {image: one, user: one}}",
        "two.yaml": "services: {a: {image: two}, b: {image: x}}",
        "three.yaml": "services: {a: {image: three}}",
    }
    stack = load_files(files, files=("one.yaml", "two.yaml", "three.yaml"))
    assert (stack.services["a"].image, stack.services["a"].user) == ("three", "one")
    assert list(stack.services) == ["a", "b"]
    assert stack.origins["service.a/image"].at.file == "three.yaml"
    assert stack.files == ("/project/one.yaml", "/project/two.yaml", "/project/three.yaml")


def test_overlays_patch_groups() -> None:
    files = {
        "stack.yaml": "services: {a: {for_each: [x, y], image: one, environment: {K: '{{ each.key }}'}}}",
        "stack.override.yaml": "services: {a: {image: two, environment: {L: '{{ each.index }}'}}}",
    }
    stack = load_files(files)
    assert [(s.image, s.environment) for s in stack.services.values()] == [
        ("two", {"K": "x", "L": "1"}),
        ("two", {"K": "y", "L": "2"}),
    ]
