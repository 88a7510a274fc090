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

ENVIRON = {"SET": "value", "EMPTY": "", "PATH": "/usr/bin:/bin"}


def compose_config(directory: Path) -> dict[str, Any]:
    command = [peers.compose(), "-f", "compose.yaml", "config", "--format", "json"]
    done = subprocess.run(
        command, cwd=directory, capture_output=True, check=True, env=ENVIRON | {"HOME": str(directory)}
    )
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
        "ulimits": {name: (entry["soft"], entry["hard"]) for name, entry in service.get("ulimits", {}).items()},
    }


def undollar(value: Any) -> Any:
    """`config` writes a literal `$` as `$$`."""
    if isinstance(value, dict):
        return {key: undollar(child) for key, child in value.items()}
    if isinstance(value, list):
        return [undollar(item) for item in value]
    return value.replace("$$", "$") if isinstance(value, str) else value


@pytest.mark.parametrize("case", CASES)
def test_same_meaning(case: str, tmp_path: Path) -> None:
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "compose.yaml").write_text(textwrap.dedent(CASES[case]))
    theirs = compose_config(directory)
    ours = load(LoadOptions(directory=str(directory), environ=ENVIRON))
    assert ours.name == theirs["name"]
    assert sorted(ours.services) == sorted(theirs["services"])
    for name, service in ours.services.items():
        assert as_compose(service) == of_compose(theirs["services"][name])
