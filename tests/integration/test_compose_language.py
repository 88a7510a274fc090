"""The language against the real Compose: what its `config` says is what ours loads."""

from __future__ import annotations

import json
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest

from stackfile.language import LoadOptions, load
from stackfile.language.units import duration
from stackfile.model.stack import SECOND, Service
from tests import peers

pytestmark = pytest.mark.peer

CASES = {
    "scalars": """\
        services:
          a:
            image: x
            environment: {A: 22:22, B: 1e3, C: 0o10, D: yes, E: 2020-01-01, F: 1.10, G: ~, H: true, I: 1_000, J: 010,
                          K: 0x1F, L: 1234567.5, M: 99999999999999999999, N: 089, O: .5, P: "null", Q: off}
        """,
    "merge keys": """\
        x-base: &base {image: x, environment: {A: 1}, cap_add: [A]}
        services:
          a: {<<: *base, user: u}
          b: {<<: [*base, {user: v}], environment: {B: 2}}
        """,
    "interpolation": """\
        services:
          a:
            image: ${SET}
            environment:
              A: ${UNSET:-d}${UNSET-e}${EMPTY:-f}${EMPTY-g}
              B: ${SET:+a}${EMPTY:+b}${EMPTY+c}${UNSET+d}
              C: ${UNSET:-${SET}-${ALSO:-x}} $$SET $SET
        """,
    "commands": """\
        services:
          a: {image: x, command: run 'a b' "c d", entrypoint: [e]}
          b: {image: x, command: [], entrypoint: /run --now}
        """,
    "ports": """\
        services:
          a:
            image: x
            ports: [80, "81:81", "127.0.0.1:82:82", "[::1]:83:83", "84-86:94-96", "127.0.0.1::90/udp",
                    {target: 97, published: "87", mode: host}]
        """,
    "resources": """\
        services:
          a:
            image: x
            shm_size: 1.5g
            stop_grace_period: 1m30s
            healthcheck: {test: a b, interval: 1m30s, timeout: 500ms, retries: 5}
            deploy: {replicas: 2, resources: {limits: {cpus: "0.5", memory: 50M, pids: 10}}}
            ulimits: {nofile: {soft: 10, hard: 20}}
          b: {image: x, mem_limit: 64m, restart: on-failure:3}
        """,
    "mounts": """\
        services:
          a: {image: x, volumes: ["data:/d:ro", "./rel:/r", "/anon", {type: bind, source: ./b, target: /b}]}
        volumes: {data: }
        """,
    "networks": """\
        services:
          a: {image: x, depends_on: [b], networks: [n]}
          b: {image: x, networks: {default: , n: {aliases: [q]}}, extra_hosts: ["h:1.2.3.4"], dns: 1.1.1.1}
        networks: {n: }
        """,
}

MERGED = {
    "services": (
        """\
        services:
          a:
            image: x
            annotations: {A: "1", B: "2"}
            blkio_config: {weight: 300, device_read_bps: [{path: /dev/a, rate: 1}]}
            cap_add: [A, B]
            command: [a]
            configs: [c1]
            depends_on: [b]
            device_cgroup_rules: ["c 1:1 r"]
            devices: ["/dev/null:/dev/n"]
            dns: 1.1.1.1
            entrypoint: e
            environment: [A=1]
            expose: ["80"]
            extra_hosts: ["h:1.1.1.1"]
            group_add: [g1]
            healthcheck: {test: [CMD, a], interval: 1s, timeout: 2s, retries: 4}
            labels: [a=1]
            links: [b]
            logging: {driver: json-file, options: {a: "1", b: "2"}}
            networks: {n: {aliases: [a1]}}
            ports: ["80:80", "127.0.0.1:82:82"]
            post_start: [{command: a}]
            secrets: [s1]
            security_opt: [so1]
            sysctls: {a: "1"}
            ulimits: {nofile: {soft: 1, hard: 2}, nproc: 5}
            volumes: ["vol:/v", "/anon"]
            volumes_from: [b]
            deploy: {labels: {a: "1"}, resources: {limits: {cpus: "1"}}, update_config: {delay: 1s}}
          b: {image: x}
        volumes: {vol: {driver_opts: {a: "1"}, labels: [a=1]}}
        networks: {n: {driver_opts: {a: "1"}, ipam: {config: [{subnet: 10.1.0.0/16}, {subnet: 10.3.0.0/16}]}}}
        configs: {c1: {content: a}, c2: {content: b}}
        secrets: {s1: {environment: SET}, s2: {environment: SET}}
        """,
        """\
        services:
          a:
            annotations: [A=3]
            blkio_config: {device_read_bps: [{path: /dev/b, rate: 1}]}
            cap_add: [B, D]
            command: [b, c]
            configs: [{source: c2, target: /c1}]
            depends_on: {b: {condition: service_healthy}}
            device_cgroup_rules: ["c 1:1 r", "c 2:2 r"]
            devices: ["/dev/zero:/dev/n", /dev/full]
            dns: [2.2.2.2, 1.1.1.1]
            entrypoint: [f]
            environment: {A: "2", B: "3"}
            expose: [80, "81"]
            extra_hosts: {h: 2.2.2.2, i: 3.3.3.3}
            group_add: [g1, g2]
            healthcheck: {test: b}
            labels: {a: "2"}
            links: [b]
            logging: {driver: json-file, options: {b: "3"}}
            networks: {n: {aliases: [a2]}, default: }
            ports: ["80:80", "81:81", {target: 80, published: "80"}, "127.0.0.2:82:82"]
            post_start: [{command: b}]
            secrets: [s1, s2]
            security_opt: [so1, so2]
            sysctls: [a=2, b=3]
            ulimits: {nofile: 7, nproc: {soft: 1, hard: 2}}
            volumes: ["wol:/v:ro", "/anon"]
            volumes_from: [b, "b:ro"]
            deploy: {labels: [a=2, b=3], resources: {limits: {memory: 1m}}, update_config: {parallelism: 3}}
        volumes: {wol: {}, vol: {driver_opts: {b: "2"}, labels: {b: "1"}}}
        networks: {n: {driver_opts: {b: "1"}, ipam: {config: [{subnet: 10.1.0.0/16, gateway: 10.1.0.9}]}}}
        """,
    ),
    "reset and override": (
        """\
        services:
          a: {image: x, command: [a], ports: ["80:80"], environment: {A: 1, B: 2}, cap_add: [A], labels: {a: "1"}}
        """,
        """\
        services:
          a: {command: !reset null, ports: !override ["81:81"], environment: {A: !reset null}, cap_add: !reset []}
        """,
    ),
    "another logging driver": (
        "services: {a: {image: x, logging: {driver: json-file, options: {max-size: 1m}}}}",
        "services: {a: {logging: {driver: local, options: {max-file: '3'}}}}",
    ),
}
"""name: (compose.yaml, compose.override.yaml)"""

EXTENDED = {
    "compose.yaml": """\
        include: [{path: part/inc.yaml, env_file: part/inc.env}, more.yaml]
        services:
          a: {extends: {file: part/base.yaml, service: base}, environment: {B: "${SET}"}, ports: ["81:81"]}
          b: {extends: {service: a}, command: [own], ports: !override ["83:83"], volumes: ["./own:/own"]}
          c: {image: x}
        networks: {n: }
        """,
    "part/base.yaml": """\
        services:
          base: {extends: {file: deep/root.yaml, service: root}, volumes: ["./data:/data", "vol:/v"], env_file: e.env}
        """,
    "part/deep/root.yaml": """\
        services:
          root: {image: "r-${SET}", volumes: ["./deep:/deep"], ports: ["80:80"], environment: [A=1], cap_add: [X]}
        """,
    "part/e.env": "FROM_FILE=1\n",
    "part/inc.yaml": """\
        services:
          inc: {image: "i-${INCLUDED}-${SET}", volumes: ["./in:/in"], env_file: e.env, labels: {x: "${INCLUDED}"}}
        configs: {cc: {content: x}}
        """,
    "part/inc.env": "INCLUDED=yes\nSET=not\n",
    "more.yaml": "services: {more: {image: m, networks: [n]}}\nnetworks: {n: }\n",
}
"""`extends` and `include`; `vol` comes from compose.override.yaml."""

ENVIRON = {"SET": "value", "EMPTY": "", "PATH": "/usr/bin:/bin"}


def compose_config(directory: Path) -> dict[str, Any]:
    command = [peers.compose(), "config", "--format", "json"]
    done = subprocess.run(command, cwd=directory, capture_output=True, env=ENVIRON | {"HOME": str(directory)})
    assert done.returncode == 0, done.stderr
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def seconds(text: str) -> float:
    """Go's text of a duration."""
    return duration(text) / SECOND


def as_compose(service: Service) -> dict[str, Any]:
    """A service in the shape of Compose's `config`."""
    return {
        "image": service.image,
        "command": None if service.command is None else list(service.command),
        "entrypoint": None if service.entrypoint is None else list(service.entrypoint),
        "environment": service.environment,
        "user": service.user,
        "cap_add": list(service.cap_add),
        "ports": [(p.host_ip, str(p.published or ""), p.target, p.protocol, p.mode) for p in service.ports],
        "volumes": [(m.type, m.source, m.target, m.read_only) for m in service.mounts],
        "networks": {entry.network: list(entry.aliases) for entry in service.networks},
        "depends_on": {name: entry.condition for name, entry in service.depends_on.items()},
        "extra_hosts": list(service.extra_hosts),
        "dns": list(service.dns),
        "mem": service.resources.memory,
        "cpus": service.resources.nano_cpus / SECOND,
        "pids": service.resources.pids,
        "replicas": service.replicas,
        "shm_size": service.shm_size,
        "grace": (service.stop_grace_period or 0) / SECOND,
        "health": health_of(service),
        "ulimits": {limit.name: (limit.soft, limit.hard) for limit in service.ulimits},
        **rarer(service),
    }


def rarer(service: Service) -> dict[str, Any]:
    return {
        "annotations": service.annotations,
        "labels": service.labels,
        "sysctls": service.sysctls,
        "logging": (service.log.driver, service.log.options),
        "devices": [(item.source, item.target, item.permissions) for item in service.devices],
        "device_cgroup_rules": list(service.device_rules),
        "group_add": list(service.group_add),
        "security_opt": list(service.security_opt),
        "volumes_from": list(service.volumes_from),
        "files": [(file.source, file.target) for file in service.files],
        "expose": [port.removesuffix("/tcp") for port in service.expose],
        "hooks": [list(hook.command) for hook in service.post_start],
        "blkio": (service.resources.blkio_weight, [(item.path, item.rate) for item in service.resources.blkio]),
        "deploy": (service.deploy_labels, service.update.parallelism, service.update.delay / SECOND),
    }


def rarer_of_compose(service: dict[str, Any]) -> dict[str, Any]:
    deploy = service.get("deploy", {})
    logging = service.get("logging", {})
    blkio = service.get("blkio_config", {})
    update = deploy.get("update_config", {})
    return {
        "annotations": service.get("annotations", {}),
        "labels": undollar(service.get("labels", {})),
        "sysctls": service.get("sysctls", {}),
        "logging": (logging.get("driver", "json-file"), logging.get("options", {})),
        "devices": [(item["source"], item["target"], item["permissions"]) for item in service.get("devices", [])],
        "device_cgroup_rules": service.get("device_cgroup_rules", []),
        "group_add": service.get("group_add", []),
        "security_opt": service.get("security_opt", []),
        "volumes_from": service.get("volumes_from", []),
        "files": [
            (item["source"], item.get("target", f"/{item['source']}"))
            for kind in ("configs", "secrets")
            for item in service.get(kind, [])
        ],
        "expose": service.get("expose", []),
        "hooks": [hook["command"] for hook in service.get("post_start", [])],
        "blkio": (
            blkio.get("weight", 0),
            [(item["Path"], int(item["Rate"])) for item in blkio.get("device_read_bps", [])],
        ),
        "deploy": (deploy.get("labels", {}), update.get("parallelism", 1), seconds(update.get("delay", "0s"))),
    }


def health_of(service: Service) -> tuple[list[str], float, float, int] | None:
    check = service.healthcheck
    return (list(check.test), check.interval / SECOND, check.timeout / SECOND, check.retries) if check else None


def of_compose(service: dict[str, Any]) -> dict[str, Any]:
    deploy = service.get("deploy", {})
    limits = deploy.get("resources", {}).get("limits", {})
    health = service.get("healthcheck")
    return {
        "image": service["image"],
        "command": undollar(service["command"]),
        "entrypoint": undollar(service["entrypoint"]),
        "environment": undollar(service.get("environment", {})),
        "user": service.get("user", ""),
        "cap_add": service.get("cap_add", []),
        "ports": [
            (p.get("host_ip", ""), p.get("published", ""), p["target"], p["protocol"], p["mode"])
            for p in service.get("ports", [])
        ],
        "volumes": [
            (v["type"], v.get("source", ""), v["target"], v.get("read_only", False)) for v in service.get("volumes", [])
        ],
        "networks": {name: (entry or {}).get("aliases", []) for name, entry in service["networks"].items()},
        "depends_on": {name: entry["condition"] for name, entry in service.get("depends_on", {}).items()},
        "extra_hosts": service.get("extra_hosts", []),
        "dns": service.get("dns", []),
        "mem": int(service.get("mem_limit", limits.get("memory", 0))),
        "cpus": limits.get("cpus", 0),
        "pids": limits.get("pids", 0),
        "replicas": deploy.get("replicas", 1),
        "shm_size": int(service.get("shm_size", 0)),
        "grace": seconds(service["stop_grace_period"]) if "stop_grace_period" in service else 0,
        "health": (health["test"], seconds(health["interval"]), seconds(health["timeout"]), health["retries"])
        if health
        else None,
        "ulimits": {
            name: (entry["soft"], entry["hard"]) if isinstance(entry, dict) else (entry, entry)
            for name, entry in service.get("ulimits", {}).items()
        },
        **rarer_of_compose(service),
    }


def undollar(value: Any) -> Any:
    """`config` writes a literal `$` as `$$`."""
    if isinstance(value, dict):
        return {key: undollar(child) for key, child in value.items()}
    if isinstance(value, list):
        return [undollar(item) for item in value]
    return value.replace("$$", "$") if isinstance(value, str) else value


def same_meaning(directory: Path) -> None:
    theirs = compose_config(directory)
    ours = load(LoadOptions(directory=str(directory), environ=ENVIRON))
    assert ours.name == theirs["name"]
    assert sorted(ours.services) == sorted(theirs["services"])
    for name, service in ours.services.items():
        assert as_compose(service) == of_compose(theirs["services"][name])
    for name, network in theirs.get("networks", {}).items():
        ipam = network.get("ipam", {}).get("config", [])
        own = ours.networks[name]
        assert (own.full_name, own.labels, own.options) == (
            network["name"], network.get("labels", {}), network.get("driver_opts", {}),
        )  # fmt: skip
        assert list(own.subnets) == [entry["subnet"] for entry in ipam]
        assert [each for each in own.gateways if each] == [entry["gateway"] for entry in ipam if "gateway" in entry]
    for name, volume in theirs.get("volumes", {}).items():
        own_volume = ours.volumes[name]
        assert (own_volume.full_name, own_volume.labels, own_volume.options) == (
            volume["name"], volume.get("labels", {}), volume.get("driver_opts", {}),
        )  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_same_meaning(case: str, tmp_path: Path) -> None:
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "compose.yaml").write_text(textwrap.dedent(CASES[case]))
    same_meaning(directory)


@pytest.mark.parametrize("case", MERGED)
def test_same_merge(case: str, tmp_path: Path) -> None:
    directory = tmp_path / "project"
    directory.mkdir()
    for name, text in zip(("compose.yaml", "compose.override.yaml"), MERGED[case], strict=True):
        (directory / name).write_text(textwrap.dedent(text))
    same_meaning(directory)


def test_same_extends_and_include(tmp_path: Path) -> None:
    directory = tmp_path / "project"
    (directory / "part/deep").mkdir(parents=True)
    for name, text in EXTENDED.items():
        (directory / name).write_text(textwrap.dedent(text))
    (directory / "compose.override.yaml").write_text("volumes: {vol: }\nservices: {inc: {tty: true}}\n")
    same_meaning(directory)
