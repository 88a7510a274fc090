"""The change table of the language: every key, changed on a running service. Who stays, who restarts, who is new, and
that the change has its effect."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from stackfile import api
from stackfile.api import Client, LoadOptions
from stackfile.api.client import result_of
from stackfile.model import labels
from stackfile.model.container import ContainerRecord, ExecSpec
from stackfile.model.observed import UpOptions
from stackfile.model.stack import Stack
from tests.conftest import Box
from tests.integration.quickstart import free_port

pytestmark = pytest.mark.root

NONE, RECORD, IN_PLACE, RESTART, RECREATE = "none", "record", "in place", "restart", "recreate"
ACTIONS = {NONE: "", RECORD: "update", IN_PLACE: "update", RESTART: "restart", RECREATE: "recreate"}


@dataclass(frozen=True)
class Row:
    """A key with its value before and after (YAML in flow style; "" for none), and what must come of it.

    `shows`: what a command in the container prints afterwards; `kernel`: a file of its cgroup and its content.
    """

    key: str
    before: str
    after: str
    way: str
    shows: tuple[str, str] = ("", "")
    kernel: tuple[str, str] = ("", "")


SAME = "same"
"""The value is what it was; what it names has other content."""

V2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()


def cgroup(v1: str, v2: str) -> tuple[str, str]:
    name, _, value = (v2 if V2 else v1).partition("=")
    return name, value


PORTS = [free_port(), free_port()]
ROWS = [
    # no container is touched
    Row("profiles", "[]", "[]", NONE),
    Row("attach", "true", "false", NONE),
    Row("pull_policy", "missing", "never", NONE),
    Row("deploy", "{labels: {a: b}}", "{labels: {a: c}, update_config: {parallelism: 2}}", NONE),
    Row("scale", "1", "2", NONE),
    # the engine's record
    Row("restart", "", "always", RECORD),
    Row("stop_signal", "SIGTERM", "SIGINT", RECORD),
    Row("stop_grace_period", "0s", "1s", RECORD),
    Row("healthcheck", "", '{test: ["CMD", "true"], interval: 1s}', RECORD),
    Row("labels", "{a: b}", "{a: c}", RECORD),
    Row("annotations", "{a: b}", "{a: c}", RECORD),
    Row("container_name", "table-one", "table-other", RECORD, ("nslookup table-other 127.0.0.11", "Name")),
    Row("expose", '["80"]', '["81"]', RECORD),
    Row("depends_on", "[]", "[peer]", RECORD),
    Row("logging", "{options: {max-size: 1m}}", "{options: {max-size: 2m}}", RECORD),
    # the kernel's, while it runs
    Row("cpus", "0.5", "0.25", IN_PLACE, kernel=cgroup("cpu.cfs_quota_us=25000", "cpu.max=25000 100000")),
    Row("cpu_shares", "512", "256", IN_PLACE, kernel=cgroup("cpu.shares=256", "cpu.weight=10")),
    Row("cpuset", '"0"', '"1"', IN_PLACE, kernel=cgroup("cpuset.cpus=1", "cpuset.cpus=1")),
    Row("mem_limit", "64m", "96m", IN_PLACE, kernel=cgroup("memory.limit_in_bytes=100663296", "memory.max=100663296")),
    Row("mem_reservation", "16m", "32m", IN_PLACE,
        kernel=cgroup("memory.soft_limit_in_bytes=33554432", "memory.low=33554432")),
    Row("mem_swappiness", "10", "20", IN_PLACE, kernel=cgroup("memory.swappiness=20", "=")),
    Row("deploy", "{resources: {limits: {cpus: '0.5', memory: 64m}}}",
        "{resources: {limits: {cpus: '0.5', memory: 80m}}}", IN_PLACE,
        kernel=cgroup("memory.limit_in_bytes=83886080", "memory.max=83886080")),
    Row("device_cgroup_rules", "['c 10:229 rwm']", "['c 10:200 rwm']", IN_PLACE),
    Row("pids_limit", "50", "60", IN_PLACE, kernel=cgroup("pids.max=60", "pids.max=60")),
    Row("ports", f'["{PORTS[0]}:80"]', f'["{PORTS[1]}:80"]', IN_PLACE),
    Row("networks", "[default]", "[default, other]", IN_PLACE, ("ip -o addr show eth1", "inet ")),
    Row("networks", "{fixed: {ipv4_address: 10.207.9.10}}", "{fixed: {ipv4_address: 10.207.9.11}}", IN_PLACE,
        ("ip -o addr", "10.207.9.11/24")),
    Row("networks", "{default: {aliases: [before]}}", "{default: {aliases: [after]}}", IN_PLACE,
        ("nslookup after 127.0.0.11", "Name")),
    Row("networks", '{default: {mac_address: "02:42:00:00:00:01"}}', '{default: {mac_address: "02:42:00:00:00:02"}}',
        IN_PLACE, ("cat /sys/class/net/eth0/address", "02:42:00:00:00:02")),
    # (the alias is the other one's, who changes in place)
    Row("links", '["peer:before"]', '["peer:after"]', NONE, ("nslookup after 127.0.0.11", "Name")),
    Row("dns", "[192.0.2.1]", "[192.0.2.2]", IN_PLACE),
    Row("dns_search", "[a.example]", "[b.example]", IN_PLACE, ("cat /etc/resolv.conf", "search b.example")),
    Row("dns_opt", "[timeout:1]", "[timeout:2]", IN_PLACE, ("cat /etc/resolv.conf", "timeout:2")),
    Row("extra_hosts", '["a.example=192.0.2.1"]', '["b.example=192.0.2.2"]', IN_PLACE,
        ("cat /etc/hosts", "192.0.2.2\tb.example")),
    # a new process in the same container
    Row("ulimits", "{nofile: 1000}", "{nofile: 1001}", RESTART, ("cat /proc/1/limits", "1001")),
    Row("oom_score_adj", "100", "200", RESTART, ("cat /proc/1/oom_score_adj", "200")),
    Row("sysctls", "{net.ipv4.ip_default_ttl: 60}", "{net.ipv4.ip_default_ttl: 61}", RESTART,
        ("cat /proc/sys/net/ipv4/ip_default_ttl", "61")),
    Row("shm_size", "1m", "2m", RESTART, ("df -k /dev/shm", "2048")),
    Row("logging", "{driver: json-file}", "{driver: none}", RESTART),
    Row("configs", "[{source: greeting, target: /greeting}]", SAME, RESTART, ("cat /greeting", "after")),
    Row("init", "false", "true", RESTART, ("cat /proc/1/stat", "0 1 1 ")),
    # as on_change says
    Row("configs", "[{source: greeting, target: /greeting, on_change: SIGHUP}]", SAME, IN_PLACE,
        ("cat /greeting", "after")),
    Row("configs", "[{source: greeting, target: /greeting, on_change: none}]", SAME, IN_PLACE),
    Row("configs", "[{source: greeting, target: /greeting, on_change: recreate}]", SAME, RECREATE,
        ("cat /greeting", "after")),
    # another container
    Row("command", '[sleep, "1000"]', '[sleep, "1001"]', RECREATE, ("cat /proc/1/cmdline", "1001")),
    Row("entrypoint", '[env]', '[env, "-u", "A"]', RECREATE),
    Row("environment", "{LEVEL: info}", "{LEVEL: debug}", RECREATE, ("env", "LEVEL=debug")),
    Row("env_file", "[own.env]", SAME, RECREATE, ("env", "SIDE=after")),
    Row("image", "app", "other", RECREATE),
    Row("volumes_from", "[]", "[peer]", RECREATE),
    Row("uts", "", "host", RECREATE),
    Row("cgroup", "", "host", RECREATE),
    Row("user", '"1000"', '"1001"', RECREATE, ("id -u", "1001")),
    Row("working_dir", "/tmp", "/bin", RECREATE, ("pwd", "/bin")),
    Row("group_add", '["10"]', '["11"]', RECREATE, ("cat /proc/1/status", "11")),
    Row("hostname", "one", "two", RECREATE, ("hostname", "two")),
    Row("domainname", "one.example", "two.example", RECREATE, ("cat /etc/hosts", "two.example")),
    Row("cap_add", "[NET_ADMIN]", "[NET_ADMIN, SYS_TIME]", RECREATE),
    Row("cap_drop", "[CHOWN]", "[ALL]", RECREATE, ("cat /proc/1/status", "CapEff:\t0000000000000000")),
    Row("security_opt", "[]", '["no-new-privileges:true"]', RECREATE, ("cat /proc/1/status", "NoNewPrivs:\t1")),
    Row("privileged", "false", "true", RECREATE),
    Row("read_only", "false", "true", RECREATE, ("touch /x", "Read-only")),
    Row("volumes", "[]", '["data:/data"]', RECREATE, ("cat /proc/mounts", " /data ")),
    Row("tmpfs", "[/one]", "[/two]", RECREATE, ("cat /proc/mounts", " /two ")),
    Row("configs", "[conf]", "[{source: conf, target: /etc/other}]", RECREATE, ("cat /etc/other", "hello")),
    Row("secrets", "[{source: token, mode: 0440}]", "[{source: token, mode: 0444}]", RECREATE,
        ("stat -c %a /run/secrets/token", "444")),
    Row("network_mode", "", "none", RECREATE),
    Row("pid", "", "host", RECREATE),
    Row("ipc", "", "host", RECREATE),
    Row("tty", "false", "true", RECREATE, ("readlink /proc/1/fd/0", "/dev/pts/")),
    Row("stdin_open", "false", "true", RECREATE),
    Row("devices", "[]", '["/dev/null:/dev/other"]', RECREATE, ("ls /dev/other", "/dev/other")),
]  # fmt: skip

HEAD = """
name: table
images:
  app:
    from: scratch
    steps:
      - host: {programs: [busybox]}
      - run: ["busybox", "mkdir", "-p", "/bin", "/tmp"]
      - run: ["busybox", "--install", "-s", "/bin"]
  other:
    from: app
    steps: [{label: {a: b}}]
networks:
  default: {}
  other: {}
  fixed: {ipam: {config: [{subnet: 10.207.9.0/24}]}}
volumes: {data: {}}
configs: {conf: {content: hello}, greeting: {content: GREETING}}
secrets: {token: {content: s3same}}
services:
"""


def names() -> list[str]:
    return [f"s{number}-{row.key.replace('_', '-')}" for number, row in enumerate(ROWS)]


def stack(side: str) -> str:
    text = HEAD.replace("GREETING", side) + '  peer: {image: app, command: [sleep, "1000"], stop_grace_period: 0s}\n'
    for name, row in zip(names(), ROWS, strict=True):
        text += f"  {name}:\n"
        if row.key != "image":
            text += "    image: app\n"
        if row.key != "command":
            text += '    command: [sleep, "1000"]\n'
        if row.key != "stop_grace_period":
            text += "    stop_grace_period: 0s\n"
        if value := row.before if row.after == SAME else getattr(row, side):
            text += f"    {row.key}: {value}\n"
    return text


def write(box: Box, side: str) -> None:
    box.stack(stack(side))
    (box.directory / "own.env").write_text(f"SIDE={side}\n")


def load(box: Box) -> Stack:
    return api.load(LoadOptions(directory=str(box.directory), environ={}))


def output(client: Client, container: str, command: str) -> str:
    argv = ("/bin/sh", "-c", f"{command} 2>&1")
    stream = client.exec_start(client.exec_create(container, ExecSpec(argv=argv)))
    try:
        return b"".join(iter(lambda: stream.read()[1], b"")).decode(errors="replace")
    finally:
        stream.close()


def limit(box: Box, record: ContainerRecord, name: str) -> str:
    for pattern in ("*/", ""):
        for path in Path("/sys/fs/cgroup").glob(f"{pattern}{box.settings.cgroup_parent}/{record.id}/{name}"):
            return path.read_text().strip()
    return ""


def mistakes(box: Box, client: Client, row: Row, before: ContainerRecord, after: ContainerRecord) -> list[str]:
    """What did not become of a row's change as it should."""
    found = []
    same_id, same_process = before.id == after.id, before.state.started_at == after.state.started_at
    expected = {RESTART: (True, False), RECREATE: (False, False)}.get(row.way, (True, True))
    if (same_id, same_process) != expected:
        found.append(f"id kept: {same_id}, process kept: {same_process}, not {expected}")
    if not after.state.running:
        return [*found, f"it is {after.state.status}"]
    command, text = row.shows
    if command and text not in (shown := output(client, after.id, command)):
        found.append(f"{command}: no {text!r} in {shown!r}")
    name, value = row.kernel
    if name and (actual := limit(box, after, name)) != value:
        found.append(f"{name} is {actual!r}, not {value!r}")
    return found


def test_every_row(box: Box) -> None:
    write(box, "before")
    box.run("up")
    with api.connect(f"{box.settings.run}/stackfile.sock", start=False) as client:
        first = {record.spec.labels[labels.SERVICE]: record for record in client.containers("table")}
        written = {name: output(client, record.id, "echo kept > /dev/shm/mark; touch /kept") for name, record in
                   first.items()}  # fmt: skip
        assert not any("not found" in text for text in written.values())
        write(box, "after")
        wanted = load(box)
        plan = client.plan(wanted, UpOptions())
        actions: dict[str, list[str]] = {}
        for action in plan.actions:
            if not action.address.startswith("service.") or action.action == "create":
                continue
            actions.setdefault(action.address.partition(".")[2], []).append(action.action)
        wrong = [
            f"{name}: planned {actions.get(name, [])}, not {row.way}"
            for name, row in zip(names(), ROWS, strict=True)
            if actions.get(name, [""]) != [ACTIONS[row.way]]
        ]
        assert not wrong, "\n".join(wrong)
        result_of(client.up(wanted, UpOptions()))
        second = {
            record.spec.labels[labels.SERVICE]: record
            for record in client.containers("table")
            if record.spec.labels[labels.NUMBER] == "1"
        }
        wrong = [
            f"{name}: {mistake}"
            for name, row in zip(names(), ROWS, strict=True)
            for mistake in mistakes(box, client, row, first[name], second[name])
        ]
        assert not wrong, "\n".join(wrong)
        assert client.drift("table") == []
        assert client.plan(wanted, UpOptions()).actions == ()

        # a restart keeps the writable layer, a recreate has a new one
        for name, row in zip(names(), ROWS, strict=True):
            if row.way in (RESTART, RECREATE) and row.key not in ("read_only", "privileged"):
                shown = output(client, second[name].id, "ls /kept")
                assert ("No such" in shown) == (row.way == RECREATE), (name, shown)

        by_key = {row.key: second[name] for name, row in zip(names(), ROWS, strict=True) if row.way != NONE}
        if not V2:
            allowed = limit(box, by_key["device_cgroup_rules"], "devices.list")
            assert "c 10:200 rwm" in allowed
            assert "c 10:229" not in allowed
        assert by_key["restart"].spec.restart.name == "always"
        assert by_key["labels"].spec.labels["a"] == "c"
        assert by_key["healthcheck"].state.health.status == "healthy"
        assert by_key["container_name"].spec.name == "table-other"
        assert [port.published for port in by_key["ports"].published] == [PORTS[1]]
