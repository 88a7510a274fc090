"""Every row of the change table: one field of a running service differs, and one strategy follows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stackfile.engines.strategies import TABLE
from stackfile.model.container import ContainerSpec
from stackfile.model.stack import (
    SECOND,
    Attachment,
    FileRef,
    Healthcheck,
    Mount,
    NetworkResource,
    Port,
    Resources,
    RestartPolicy,
    SecretRef,
    Ulimit,
)
from stackfile.reconcile import diff
from stackfile.reconcile.strategy import ORDER, strategy
from tests.unit.reconcile import kit

CHECK = Healthcheck(test=("CMD", "true"))
NETWORKS = {
    name: NetworkResource(name=name, full_name=f"p_{name}") for name in ("default", "other")
}  # fmt: skip
BASE = kit.service("web", ports=(Port(target=80, published=8080),), environment={"A": "1"})
FILE = FileRef(kind="config", source="c", target="/c")

ROWS: list[tuple[str, Any, str, str]] = [
    # field, value, path of the change, action
    ("restart", RestartPolicy(name="always"), "/restart", "record"),
    ("stop_signal", "SIGINT", "/stop_signal", "record"),
    ("stop_grace_period", 3 * SECOND, "/stop_grace_period", "record"),
    ("healthcheck", CHECK, "/healthcheck", "record"),
    ("depends_on", kit.waiting_for(db="started"), "/depends_on/db", "record"),
    ("labels", {"tier": "front"}, "/labels/tier", "record"),
    ("expose", ("80/tcp",), "/expose", "record"),
    ("container_name", "front", "/name", "record"),
    ("resources", Resources(memory=64 << 20), "/resources/memory", "in-place"),
    ("resources", Resources(memory_reservation=1 << 20), "/resources/memory_reservation", "in-place"),
    ("resources", Resources(memory_swap=1 << 20), "/resources/memory_swap", "in-place"),
    ("resources", Resources(nano_cpus=1), "/resources/nano_cpus", "in-place"),
    ("resources", Resources(cpu_shares=512), "/resources/cpu_shares", "in-place"),
    ("resources", Resources(cpuset="0"), "/resources/cpuset", "in-place"),
    ("resources", Resources(pids=10), "/resources/pids", "in-place"),
    ("ports", (Port(target=80, published=8081),), "/ports", "in-place"),
    ("networks", (Attachment(network="default"), Attachment(network="other")), "/networks/p_other", "in-place"),
    ("networks", (Attachment(network="default", aliases=("w",)),), "/networks/p_default/aliases", "in-place"),
    ("extra_hosts", ("a=10.0.0.1",), "/extra_hosts", "in-place"),
    ("dns", ("9.9.9.9",), "/dns", "in-place"),
    ("dns_search", ("x",), "/dns_search", "in-place"),
    ("dns_options", ("ndots:1",), "/dns_options", "in-place"),
    ("networks", (Attachment(network="default", ipv4="10.89.0.9"),), "/networks/p_default/ipv4", "drop-connections"),
    ("networks", (Attachment(network="default", mac="02:00:00:00:00:01"),), "/networks/p_default/mac",
     "drop-connections"),
    ("ulimits", (Ulimit(name="nofile", soft=1, hard=2),), "/ulimits", "restart"),
    ("oom_score_adj", 100, "/oom_score_adj", "restart"),
    ("sysctls", {"net.core.somaxconn": "1"}, "/sysctls/net.core.somaxconn", "restart"),
    ("shm_size", 1 << 20, "/shm_size", "restart"),
    ("init", True, "/init", "restart"),
    ("command", ("serve",), "/command", "recreate"),
    ("entrypoint", ("/init",), "/entrypoint", "recreate"),
    ("environment", {"A": "2"}, "/environment/A", "recreate"),
    ("environment", {}, "/environment/A", "recreate"),
    ("user", "1000", "/user", "recreate"),
    ("working_dir", "/srv", "/working_dir", "recreate"),
    ("group_add", ("video",), "/group_add", "recreate"),
    ("hostname", "w", "/hostname", "recreate"),
    ("domainname", "x.org", "/domainname", "recreate"),
    ("cap_add", ("NET_ADMIN",), "/cap_add", "recreate"),
    ("cap_drop", ("ALL",), "/cap_drop", "recreate"),
    ("security_opt", ("no-new-privileges",), "/security_opt", "recreate"),
    ("privileged", True, "/privileged", "recreate"),
    ("read_only", True, "/read_only", "recreate"),
    ("mounts", (Mount(type="bind", source="/srv", target="/srv"),), "/mounts/~1srv", "recreate"),
    ("mounts", (Mount(type="tmpfs", target="/tmp"),), "/mounts/~1tmp", "recreate"),
    ("files", (FILE,), "/files/~1c", "recreate"),
    ("network_mode", "host", "/network_mode", "recreate"),
    ("tty", True, "/tty", "recreate"),
    ("stdin_open", True, "/stdin_open", "recreate"),
]  # fmt: skip

ACTIONS = {"record": "update", "in-place": "update", "drop-connections": "update"}


def stack(service: Any) -> Any:
    return kit.stack(service, kit.service("db"), networks=NETWORKS, configs=kit.config("c"))


@pytest.mark.parametrize(("field", "value", "path", "way"), ROWS, ids=[f"{row[0]}-{row[2]}" for row in ROWS])
def test_a_changed_field(field: str, value: Any, path: str, way: str) -> None:
    wanted = stack(replace(BASE, **{field: value}))
    made = kit.make(wanted, kit.applied(stack(BASE)))
    assert kit.told(made) == [f"{ACTIONS.get(way, way)} service.web[1]"]
    assert kit.changed(made, "service.web")[path] == way


@pytest.mark.parametrize(
    "fields",
    [
        {"replicas": 1},
        {"pull_policy": "always"},
        {"profiles": ("debug",)},
    ],
)
def test_fields_that_no_container_notices(fields: dict[str, Any]) -> None:
    assert kit.told(kit.make(stack(replace(BASE, **fields)), kit.applied(stack(BASE)))) == []


@pytest.mark.parametrize(
    ("on_change", "action", "way", "signal"),
    [
        ("restart", "restart", "restart", ""),
        ("recreate", "recreate", "recreate", ""),
        ("none", "update", "none", ""),
        ("SIGHUP", "update", "signal", "SIGHUP"),
    ],
)
def test_content_of_a_config_obeys_on_change(on_change: str, action: str, way: str, signal: str) -> None:
    web = replace(BASE, files=(replace(FILE, on_change=on_change),))
    before = kit.stack(web, configs=kit.config("c", "old"))
    made = kit.make(kit.stack(web, configs=kit.config("c", "new")), kit.applied(before, keys=kit.keys(
        kit.stack(web, configs=kit.config("c", "new")))))  # fmt: skip
    assert kit.told(made) == ["update config.c", f"{action} service.web[1]"]
    change = made.actions[1].changes[0]
    assert (change.path, change.strategy, change.signal) == ("/files/~1c/content", way, signal)
    assert (change.cause.kind, change.before, change.after) == ("config-content", kit.key("old"), kit.key("new"))
    assert made.actions[1].after == (made.actions[0].id,)


def test_on_change_itself_is_the_record() -> None:
    web = replace(BASE, files=(FILE,))
    before = kit.stack(web, configs=kit.config("c"))
    after = kit.stack(replace(web, files=(replace(FILE, on_change="SIGHUP"),)), configs=kit.config("c"))
    assert kit.changed(kit.make(after, kit.applied(before)), "service.web") == {"/files/~1c/on_change": "record"}


def test_a_secret_in_a_variable_recreates_and_shows_no_value() -> None:
    web = replace(BASE, environment={"T": SecretRef("s")})
    before = kit.stack(web, secrets=kit.secret("s"))
    made = kit.make(before, kit.applied(before, keys={"secret.s": "hmac:new"}))
    (change,) = made.actions[0].changes
    assert kit.told(made) == ["recreate service.web[1]"]
    assert (change.path, change.before, change.after, change.sensitive) == (
        "/environment/T", kit.TOKEN, "hmac:new", True
    )  # fmt: skip


def test_labels_that_follow_from_other_fields_are_no_change() -> None:
    spec = ContainerSpec(labels={"com.docker.compose.config-hash": "a", "com.docker.compose.version": "1"})
    other = ContainerSpec(labels={"com.docker.compose.config-hash": "b", "com.docker.compose.version": "2"})
    assert diff.differences(spec, other) == []


def test_a_carried_over_anonymous_volume_is_no_change() -> None:
    anonymous = "a" * 64
    before = ContainerSpec(
        mounts=(Mount(type="volume", target="/cache", source=anonymous), Mount(type="volume", target="/image",
                source=anonymous))
    )  # fmt: skip
    assert diff.differences(before, ContainerSpec(mounts=(Mount(type="volume", target="/cache"),))) == []


def test_every_strategy_of_the_table_is_known_and_every_key_is_a_field() -> None:
    known = set(ContainerSpec.__dataclass_fields__)
    assert {key.partition("/")[0] for key in TABLE} <= known
    assert set(TABLE.values()) <= {*ORDER, "on_change"}


def test_what_the_table_does_not_name_is_recreated() -> None:
    assert strategy(TABLE, "of_tomorrow/x") == ("recreate", "")
