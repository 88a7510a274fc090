"""Every key of a service: input → model."""

from __future__ import annotations

import pytest

from stackfile.model.stack import Dependency, Healthcheck, Resources, RestartPolicy, SecretRef, Ulimit
from tests.unit.language.memory import errors_of, load_text, service

S = 1_000_000_000


@pytest.mark.parametrize(
    ("keys", "field", "value"),
    [
        ("user: 1000", "user", "1000"),
        ("user: '1000:1000'", "user", "1000:1000"),
        ("working_dir: /x", "working_dir", "/x"),
        ("hostname: h.example", "hostname", "h.example"), ("domainname: d.example", "domainname", "d.example"),
        ("container_name: my-c_1", "container_name", "my-c_1"),
        ("command: a 'b c' \"d e\"", "command", ("a", "b c", "d e")), ("command: [a, 1]", "command", ("a", "1")),
        ("command: []", "command", ()), ("command: ", "command", None), ("command: ''", "command", ()),
        ("entrypoint: /run --now", "entrypoint", ("/run", "--now")), ("entrypoint: []", "entrypoint", ()),
        ("labels: {a: 1, b: true, c: 1.5, d: , e: x}", "labels",
         {"a": "1", "b": "true", "c": "1.5", "d": "", "e": "x"}),
        ("labels: ['a=1=2', b]", "labels", {"a": "1=2", "b": ""}),
        ("environment: {S: {secret: t}}", "environment", {"S": SecretRef("t")}),
        ("expose: [80, '90-91/udp', '70/tcp']", "expose", ("80/tcp", "90/udp", "91/udp", "70/tcp")),
        ("network_mode: none", "network_mode", "none"), ("network_mode: 'container:x'", "network_mode", "container:x"),
        ("network_mode: 'service:b'", "network_mode", "service:b"),
        ("depends_on: [b]", "depends_on", {"b": Dependency()}),
        ("depends_on: {b: {condition: service_completed_successfully, restart: true, required: false}}", "depends_on",
         {"b": Dependency(condition="service_completed_successfully", restart=True, required=False)}),
        ("depends_on: {no: {condition: service_started, required: false}}", "depends_on",
         {"no": Dependency(required=False)}),
        ("restart: 'no'", "restart", RestartPolicy()), ("restart: no", "restart", RestartPolicy()),
        ("restart: false", "restart", RestartPolicy()), ("restart: always", "restart", RestartPolicy(name="always")),
        ("restart: on-failure:3", "restart", RestartPolicy(name="on-failure", max_retries=3)),
        ("restart: unless-stopped", "restart", RestartPolicy(name="unless-stopped")),
        ("deploy: {restart_policy: {condition: none}}", "restart", RestartPolicy()),
        ("deploy: {restart_policy: {}}", "restart", RestartPolicy(name="always")),
        ("deploy: {restart_policy: {condition: any, max_attempts: 2}}", "restart",
         RestartPolicy(name="on-failure", max_retries=2)),
        ("restart: always, deploy: {restart_policy: {condition: none}}", "restart", RestartPolicy(name="always")),
        ("stop_signal: SIGINT", "stop_signal", "SIGINT"), ("stop_signal: 2", "stop_signal", "2"),
        ("stop_grace_period: 1m30s", "stop_grace_period", 90 * S), ("stop_grace_period: 0s", "stop_grace_period", 0),
        ("tty: true", "tty", True), ("tty: 'yes'", "tty", True), ("stdin_open: true", "stdin_open", True),
        ("init: true", "init", True), ("read_only: true", "read_only", True), ("privileged: true", "privileged", True),
        ("cap_add: [NET_ADMIN]", "cap_add", ("NET_ADMIN",)), ("cap_drop: [ALL]", "cap_drop", ("ALL",)),
        ("security_opt: ['no-new-privileges:true']", "security_opt", ("no-new-privileges:true",)),
        ("group_add: [mail, 5]", "group_add", ("mail", "5")), ("shm_size: 64m", "shm_size", 64 << 20),
        ("ulimits: {nofile: 10, nproc: {soft: 1, hard: '-1'}}", "ulimits",
         (Ulimit(name="nofile", soft=10, hard=10), Ulimit(name="nproc", soft=1, hard=-1))),
        ("extra_hosts: ['a:1.2.3.4', 'b=::1', 'c:[::1]', 'd:host-gateway']", "extra_hosts",
         ("a=1.2.3.4", "b=::1", "c=::1", "d=host-gateway")),
        ("extra_hosts: {a: 1.2.3.4, b: [5.6.7.8, '::1']}", "extra_hosts", ("a=1.2.3.4", "b=5.6.7.8", "b=::1")),
        ("dns: 1.1.1.1", "dns", ("1.1.1.1",)), ("dns: [1.1.1.1, 8.8.8.8]", "dns", ("1.1.1.1", "8.8.8.8")),
        ("dns_search: [a, b]", "dns_search", ("a", "b")), ("dns_opt: [ndots:1]", "dns_options", ("ndots:1",)),
        ("sysctls: {net.core.somaxconn: 1024}", "sysctls", {"net.core.somaxconn": "1024"}),
        ("sysctls: [a=1]", "sysctls", {"a": "1"}), ("oom_score_adj: -500", "oom_score_adj", -500),
        ("pull_policy: always", "pull_policy", "always"), ("x-own: {any: [thing]}", "labels", {}),
        ("mem_limit: 64m", "resources", Resources(memory=64 << 20)),
        ("mem_limit: 1024", "resources", Resources(memory=1024)),
        ("mem_limit: 1g, deploy: {resources: {limits: {memory: 1024m}}}", "resources", Resources(memory=1 << 30)),
        ("mem_reservation: 1m, memswap_limit: -1", "resources", Resources(memory_reservation=1 << 20, memory_swap=-1)),
        ("cpus: 0.5, cpu_shares: 512, cpuset: 0-1, pids_limit: 10", "resources",
         Resources(nano_cpus=S // 2, cpu_shares=512, cpuset="0-1", pids=10)),
        ("deploy: {mode: replicated, resources: {limits: {cpus: '1.5', memory: 1m, pids: 5}, "
         "reservations: {memory: 2m}}}",
         "resources", Resources(nano_cpus=3 * S // 2, memory=1 << 20, pids=5, memory_reservation=2 << 20)),
    ],
)  # fmt: skip
def test_keys(keys: str, field: str, value: object) -> None:
    parsed = load_text(
        f"services: {{a: {{image: x, {keys}}}, b: {{image: y}}}}\nsecrets: {{t: {{generate: }}}}"
    ).services["a"]
    assert getattr(parsed, field) == value


@pytest.mark.parametrize(
    ("keys", "check"),
    [
        ("test: [CMD, a, b], interval: 2s", Healthcheck(test=("CMD", "a", "b"), interval=2 * S)),
        ("test: a b", Healthcheck(test=("CMD-SHELL", "a b"))),
        ("test: [CMD-SHELL, a b]", Healthcheck(test=("CMD-SHELL", "a b"))),
        ("test: [NONE]", Healthcheck(test=("NONE",))), ("disable: true", Healthcheck(test=("NONE",))),
        ("interval: 1s", Healthcheck(test=(), interval=S)),
        ("test: x, timeout: 3s, retries: 5, start_period: 1m, start_interval: 100ms",
         Healthcheck(test=("CMD-SHELL", "x"), timeout=3 * S, retries=5, start_period=60 * S, start_interval=S // 10)),
    ],
)  # fmt: skip
def test_health_checks(keys: str, check: Healthcheck) -> None:
    assert service(f"healthcheck: {{{keys}}}").healthcheck == check


def test_the_default_network() -> None:
    stack = load_text("services: {a: {image: x}, b: {image: x, networks: [n]}}\nnetworks: {n: }")
    assert [entry.network for entry in stack.services["a"].networks] == ["default"]
    assert (stack.networks["default"].full_name, stack.networks["n"].full_name) == ("project_default", "project_n")
    alone = load_text("services: {a: {image: x, network_mode: host}}")
    assert (alone.networks, alone.services["a"].networks) == ({}, ())


def test_networks_of_a_service() -> None:
    parsed = service(
        "networks: {n: {aliases: [q], ipv4_address: 10.0.0.5, ipv6_address: 'FE80::1', "
        "mac_address: 'AA:00:00:00:00:01', priority: 5}}",
        "networks: {n: }",
    )
    (entry,) = parsed.networks
    assert (entry.aliases, entry.ipv4, entry.ipv6, entry.mac) == (("q",), "10.0.0.5", "fe80::1", "aa:00:00:00:00:01")
    assert entry.priority == 5


def test_an_image_of_the_stack_is_known_by_its_exact_name() -> None:
    stack = load_text("""\
        images: {app: {from: scratch}}
        services: {a: {image: app}, b: {image: "app:latest"}, c: {image: docker.io/library/app}}
        """)
    assert [entry.image_is_stack_image for entry in stack.services.values()] == [True, False, False]


@pytest.mark.parametrize(
    ("keys", "reason", "column"),
    [
        ("usr: x", "unknown-key", 26), ("user: true", "bad-type", 32), ("user: 1.5", "bad-type", 32),
        ("user: {}", "bad-type", 32), ("tty: maybe", "bad-type", 31), ("command: {}", "bad-type", 35),
        ("command: \"a 'b\"", "bad-value", 35), ("labels: {a: {}}", "bad-type", 38), ("labels: 5", "bad-type", 34),
        ("hostname: a b", "bad-name", 36), ("container_name: '-'", "bad-name", 42),
        ("environment: {A: [1]}", "bad-type", 43), ("environment: {A: {secrt: x}}", "bad-type", 43),
        ("environment: {A: {secret: x}}", "unknown-reference", 43), ("environment: ['=x']", "bad-value", 40),
        ("depends_on: [no]", "unknown-reference", 39), ("depends_on: {a: {condition: x}}", "dependency-cycle", 39),
        ("depends_on: [other/]", "bad-name", 39), ("networks: [no]", "unknown-reference", 37),
        ("network_mode: x", "bad-value", 40), ("network_mode: 'service:no'", "unknown-reference", 40),
        ("network_mode: host, networks: [default]", "bad-value", 56),
        ("networks: {default: {ipv4_address: x}}", "bad-value", 61),
        ("networks: {default: {mac_address: x}}", "bad-value", 60),
        ("restart: sometimes", "bad-value", 35), ("restart: always:3", "bad-value", 35),
        ("stop_signal: '!'", "bad-value", 39), ("stop_grace_period: 10", "bad-duration", 45),
        ("mem_limit: 12q", "bad-size", 37), ("cpus: x", "bad-value", 32),
        ("cpuset: a", "bad-value", 34), ("mem_limit: 1m, deploy: {resources: {limits: {memory: 2m}}}", "bad-value", 37),
        ("ulimits: {nofile: x}", "bad-type", 44), ("ulimits: {nofile: {soft: 1}}", "missing-key", 44),
        ("extra_hosts: [x]", "bad-value", 40), ("oom_score_adj: 2000", "bad-type", 41),
        ("healthcheck: {test: [X]}", "bad-value", 46),
        ("healthcheck: {interval: 5}", "bad-duration", 50), ("healthcheck: {tst: x}", "unknown-key", 40),
        ("healthcheck: {test: [CMD-SHELL]}", "bad-value", 46),
        ("deploy: {mode: replicated-job}", "bad-value", 41), ("deploy: {replcas: 2}", "unknown-key", 35),
        ("deploy: {update_config: {order: x}}", "bad-value", 58), ("deploy: []", "bad-type", 34),
        ("deploy: {restart_policy: {condition: x}}", "bad-value", 51),
        ("deploy: {resources: {limits: {memry: 1m}}}", "unknown-key", 56),
        ("pull_policy: x", "bad-value", 39),
        ("env_file: no.env", "file-not-found", 36),
        ("expose: [x]", "bad-port", 35),
        ("secrets: [no]", "unknown-reference", 36), ("configs: [{target: x}]", "missing-key", 36),
        ("user: null", "bad-type", 32), ("ports: ", "bad-type", 33), ("ports: '{{ none }}'", "bad-type", 33),
        ("healthcheck: {test: ~}", "bad-type", 46), ("when: null", "bad-type", 32),
        ("environment: [1]", "bad-type", 40), ("labels: [~]", "bad-type", 35), ("networks: [~]", "bad-type", 37),
        ("depends_on: [1]", "bad-type", 39), ("post_start: [{command: x, user: true}]", "bad-type", 58),
        ("gpus: 5", "bad-type", 32), ("develop: {wtch: []}", "unknown-key", 36), ("runtime: []", "bad-type", 35),
        ("networks: {default: {link_local_ips: x}}", "bad-type", 63), ("build: {ssh: 5}", "bad-type", 39),
        ("deploy: {placement: []}", "bad-type", 46),
        ("deploy: {resources: {limits: {devices: []}}}", "unknown-key", 56),
    ],
)  # fmt: skip
def test_mistakes(keys: str, reason: str, column: int) -> None:
    text = f"services: {{a: {{image: x, {keys}}}}}\n"
    assert errors_of(text)[:1] == [(reason, "stack.yaml", 1, column)]


def test_what_another_program_provides_is_reported_and_not_waited_for() -> None:
    stack = load_text("services:\n  a: {provider: {type: p}}\n  b: {image: x, depends_on: [a]}\n")
    assert [(item.address, item.path, item.at.line) for item in stack.ignored] == [("service.a", "/provider", 2)]
    assert list(stack.services) == ["b"]
    assert stack.services["b"].depends_on == {}


def test_what_another_program_provides_has_the_form_that_compose_knows() -> None:
    text = "services:\n  a:\n    provider: {tpe: p}\n    comand: x\n"
    found = [("missing-key", "stack.yaml", 3, 15), ("unknown-key", "stack.yaml", 3, 16)]
    assert errors_of(text) == [*found, ("unknown-key", "stack.yaml", 4, 5)]


def test_a_command_may_be_null_and_is_the_one_of_the_image() -> None:
    stack = load_text(
        "services: {a: {image: x, command: null, entrypoint: null, deploy: null, develop: null, pid: null}}"
    )
    assert (stack.services["a"].command, stack.services["a"].entrypoint) == (None, None)


def test_a_service_needs_an_image() -> None:
    assert errors_of("services:\n  a:\n    user: x\n") == [("missing-key", "stack.yaml", 3, 5)]


def test_every_mistake_of_a_service_at_once() -> None:
    text = """\
        services:
          web:
            image: x
            comand: x
            ports: ["99999:80", "80:80"]
            environment: {A: {secret: nope}, B: [1]}
            depends_on: [wbe]
            mem_limit: 12q
        """
    assert errors_of(text) == [
        ("unknown-key", "stack.yaml", 4, 5),
        ("bad-port", "stack.yaml", 5, 13),
        ("unknown-reference", "stack.yaml", 6, 22),
        ("bad-type", "stack.yaml", 6, 41),
        ("unknown-reference", "stack.yaml", 7, 18),
        ("bad-size", "stack.yaml", 8, 16),
    ]


def test_a_service_of_another_stack() -> None:
    parsed = service("depends_on: {data/db: {condition: service_healthy}}")
    assert parsed.depends_on == {"data/db": Dependency(condition="service_healthy")}


def test_owners_of_files_are_numbers() -> None:
    text = "services:\n  a: {image: x, configs: [{source: c, uid: me, gid: 7}]}\nconfigs: {c: {content: x}}\n"
    assert errors_of(text) == [("bad-value", "stack.yaml", 2, 44)]
