"""The service keys that most stacks never use: what each means, and that the canonical form keeps it."""

from __future__ import annotations

import pytest

from stackfile.language.dump import dump
from stackfile.language.normalise.service import IGNORED
from stackfile.model.stack import (
    SECOND,
    BlkioLimit,
    Dependency,
    DeviceMapping,
    Hook,
    LogConfig,
    Resources,
    Rollout,
)
from tests.unit.language.memory import errors_of, load_files, load_text, service

BESIDE = "b: {image: y}"

CASES = [
    ("annotations: [a=b]", "annotations", {"a": "b"}),
    ("attach: false", "attach", False),
    ("logging: {driver: local, options: {max-size: 1m, max-file: 5}}", "log",
     LogConfig(driver="local", max_size=1 << 20, max_files=5, options={"max-size": "1m", "max-file": "5"})),
    ("logging: {driver: none}", "log", LogConfig(driver="none")),
    ("logging: {}", "log", LogConfig()),
    ("pid: host", "pid_mode", "host"), ("pid: 'service:b'", "pid_mode", "service:b"),
    ("pid: 'container:q'", "pid_mode", "container:q"), ("ipc: shareable", "ipc_mode", "shareable"),
    ("ipc: 'service:b'", "ipc_mode", "service:b"), ("uts: host", "uts_mode", "host"),
    ("userns_mode: host", "userns_mode", "host"), ("cgroup: private", "cgroup_mode", "private"),
    ("devices: [/dev/a]", "devices", (DeviceMapping(source="/dev/a", target="/dev/a"),)),
    ("devices: ['/dev/a:/dev/b:r', '/dev/a:rw', {source: /dev/a, target: /dev/c, permissions: m}]", "devices",
     (DeviceMapping(source="/dev/a", target="/dev/b", permissions="r"),
      DeviceMapping(source="/dev/a", target="/dev/a", permissions="rw"),
      DeviceMapping(source="/dev/a", target="/dev/c", permissions="m"))),
    ("device_cgroup_rules: ['c  1:3 r', 'b *:* rwm']", "device_rules", ("c 1:3 r", "b *:* rwm")),
    ("volumes_from: [b, 'b:ro', 'container:q:ro', 'b:rw']", "volumes_from", ("b", "b:ro", "container:q:ro", "b")),
    ("platform: linux/amd64", "platform", "linux/amd64"),
    ("post_start: [{command: a b, user: 5, privileged: true, working_dir: /, environment: [A=b]}]", "post_start",
     (Hook(command=("a", "b"), user="5", privileged=True, working_dir="/", environment={"A": "b"}),)),
    ("pre_stop: [{command: [a]}]", "pre_stop", (Hook(command=("a",)),)),
    ("deploy: {labels: [a=b]}", "deploy_labels", {"a": "b"}),
    ("deploy: {update_config: {parallelism: 2, delay: 1s, order: start-first, failure_action: rollback, monitor: 3s, "
     "max_failure_ratio: 0.1}}", "update",
     Rollout(parallelism=2, delay=SECOND, order="start-first", failure_action="rollback", monitor=3 * SECOND,
             max_failure_ratio=0.1)),
    ("deploy: {rollback_config: {parallelism: 0}}", "rollback", Rollout(parallelism=0)),
    ("deploy: {mode: global}", "replicas", 1),
    ("cpu_period: 100ms, cpu_quota: 50000, mem_swappiness: 0, oom_kill_disable: true", "resources",
     Resources(cpu_period=100_000, cpu_quota=50_000, swappiness=0, oom_kill_disable=True)),
    ("blkio_config: {weight: 300, weight_device: [{path: /dev/a, weight: 20}], device_write_bps: [{path: /dev/a, "
     "rate: 1m}], device_read_iops: [{path: /dev/a, rate: 7}]}", "resources",
     Resources(blkio_weight=300, blkio=(BlkioLimit(kind="weight", path="/dev/a", rate=20),
                                        BlkioLimit(kind="write_bps", path="/dev/a", rate=1 << 20),
                                        BlkioLimit(kind="read_iops", path="/dev/a", rate=7)))),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "field", "value"), CASES)
def test_meaning(keys: str, field: str, value: object) -> None:
    stack = load_text(f"services: {{a: {{image: x, {keys}}}, {BESIDE}}}")
    assert getattr(stack.services["a"], field) == value
    assert stack.ignored == ()
    again = load_text(dump(stack))
    assert getattr(again.services["a"], field) == value


@pytest.mark.parametrize(
    ("keys", "reason", "column"),
    [
        ("pid: private", "bad-value", 31), ("pid: 'service:q'", "unknown-reference", 31), ("uts: x", "bad-value", 31),
        ("userns_mode: x", "bad-value", 39), ("cgroup: x", "bad-value", 34), ("devices: [null]", "bad-type", 36),
        ("devices: [a]", "bad-value", 36), ("devices: ['/dev/a:/dev/b:x']", "bad-value", 36),
        ("devices: [{source: /a, permissions: q}]", "bad-value", 36),
        ("device_cgroup_rules: [x]", "bad-value", 48), ("volumes_from: ['b:q']", "bad-value", 41),
        ("volumes_from: [q]", "unknown-reference", 41), ("links: [q]", "unknown-reference", 34),
        ("platform: 'a b'", "bad-value", 36), ("logging: {driver: 5, optons: {}}", "unknown-key", 47),
        ("logging: {options: {max-size: many}}", "bad-size", 45),
        ("logging: {options: {max-file: 0}}", "bad-value", 45), ("post_start: [{}]", "missing-key", 39),
        ("post_start: [{command: []}]", "bad-value", 39), ("mem_swappiness: 101", "bad-value", 42),
        ("blkio_config: {weight: 5}", "bad-value", 49), ("label_file: no", "file-not-found", 38),
        ("deploy: {update_config: {order: sideways}}", "bad-value", 58),
        ("deploy: {update_config: {max_failure_ratio: 2}}", "bad-value", 70),
    ],
)  # fmt: skip
def test_mistakes(keys: str, reason: str, column: int) -> None:
    assert errors_of(f"services: {{a: {{image: x, {keys}}}, {BESIDE}}}\n")[:1] == [(reason, "stack.yaml", 1, column)]


VALUES = {
    "cpu_count": "1", "cpu_percent": "1", "cpu_rt_period": "1", "cpu_rt_runtime": "1", "credential_spec": "{file: x}",
    "develop": "{}", "external_links": "[x]", "gpus": "all", "models": "{}", "pre_start": "[{command: x}]",
    "storage_opt": "{size: 1G}", "use_api_socket": "true",
}  # fmt: skip
"""Key → a value that Compose takes for it, where that is not any text."""


@pytest.mark.parametrize("key", sorted(IGNORED))
@pytest.mark.parametrize("name", ["stack.yaml", "compose.yaml"])
def test_what_has_no_effect_is_accepted_and_remembered(key: str, name: str) -> None:
    stack = load_text(f"services:\n  a:\n    image: x\n    {key}: {VALUES.get(key, 'x')}\n", name)
    (ignored,) = stack.ignored
    assert (ignored.address, ignored.path) == ("service.a", f"/{key}")
    assert (ignored.at.file, ignored.at.line, ignored.at.column) == (name, 4, 5)


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ("deploy: {placement: {}}", "/deploy/placement"), ("deploy: {endpoint_mode: vip}", "/deploy/endpoint_mode"),
        ("deploy: {resources: {reservations: {cpus: '1'}}}", "/deploy/resources/reservations/cpus"),
        ("deploy: {restart_policy: {delay: 1s}}", "/deploy/restart_policy/delay"),
        ("logging: {driver: syslog}", "/logging/driver"), ("logging: {options: {tag: x}}", "/logging/options/tag"),
        ("networks: {default: {link_local_ips: []}}", "/networks/default/link_local_ips"),
        ("networks: {default: {driver_opts: {a: b}}}", "/networks/default/driver_opts"),
        ("volumes: [{type: image, source: q, target: /t}]", "/volumes/~1t"),
        ("volumes: [{type: cluster, source: q, target: /t}]", "/volumes/~1t"),
        ("volumes: [{type: npipe, source: q, target: /t}]", "/volumes/~1t"),
        ("devices: ['vendor.com/class=x']", "/devices/vendor.com~1class=x"),
        ("build: {context: ., ssh: [default]}", "/build/ssh"),
        ("build: {context: ., platforms: [linux/arm64]}", "/build/platforms"),
        ("build: {context: ., privileged: true}", "/build/privileged"),
        ("build: {context: ., entitlements: [network.host]}", "/build/entitlements"),
        ("build: {context: ., no_cache_filter: [s]}", "/build/no_cache_filter"),
        ("build: {context: ., cache_from: [q]}", "/build/cache_from"),
        ("deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}",
         "/deploy/resources/reservations/devices"),
    ],
)  # fmt: skip
def test_what_has_no_effect_inside(keys: str, path: str) -> None:
    for name in ("stack.yaml", "compose.yaml"):
        stack = load_text(f"services: {{a: {{image: x, {keys}}}}}", name)
        assert [(entry.address, entry.path) for entry in stack.ignored] == [("service.a", path)]


def test_sharing_is_depending() -> None:
    stack = load_text("""\
        services:
          a: {image: x, pid: "service:b", volumes_from: [c], links: ["d:dd", e], depends_on: {e: {required: false}}}
          b: {image: x}
          c: {image: x}
          d: {image: x, networks: {default: {aliases: [q]}, n: }}
          e: {image: x}
        networks: {n: }
        """)
    assert stack.services["a"].depends_on == {
        "c": Dependency(), "b": Dependency(restart=True), "d": Dependency(restart=True),
        "e": Dependency(required=False),
    }  # fmt: skip
    assert [entry.aliases for entry in stack.services["d"].networks] == [("q", "dd"), ()]
    assert [entry.aliases for entry in stack.services["e"].networks] == [()]
    assert errors_of("services: {a: {image: x, pid: 'service:a'}}\n") == [("dependency-cycle", "stack.yaml", 1, 31)]


def test_a_mac_address_of_the_service_is_that_of_its_first_network() -> None:
    parsed = service("mac_address: 'AA:00:00:00:00:01', networks: {m: , n: {priority: 5}}", "networks: {m: , n: }")
    assert [(entry.network, entry.mac) for entry in parsed.networks] == [("m", ""), ("n", "aa:00:00:00:00:01")]


def test_labels_of_files() -> None:
    files = {"stack.yaml": "services: {a: {image: x, label_file: l, labels: {A: own}}}", "l": "A=file\nB=2\n"}
    assert load_files(files).services["a"].labels == {"A": "own", "B": "2"}


def test_binds_without_what_is_mounted_below() -> None:
    (mount,) = service("volumes: [{type: bind, source: /a, target: /b, bind: {recursive: disabled}}]").mounts
    assert not mount.recursive


def test_place_in_a_network() -> None:
    text = "{gw_priority: 3, interface_name: lan0, priority: 2}"
    stack = load_text(f"services: {{a: {{image: x, networks: {{default: {text}}}}}}}")
    (place,) = stack.services["a"].networks
    assert (place.gateway_priority, place.interface, place.priority) == (3, "lan0", 2)
    assert stack.ignored == ()
