from typing import Any

import pytest

from stackfile.daemon.dockerjson import create
from stackfile.errors import ActionError
from stackfile.model.container import ContainerSpec
from stackfile.model.stack import (
    Attachment,
    BlkioLimit,
    DeviceMapping,
    Healthcheck,
    Mount,
    Port,
    Resources,
    RestartPolicy,
    Ulimit,
)


def decode(host: dict[str, Any] | None = None, **config: Any) -> ContainerSpec:
    return create.decode({"Image": "busybox", **config, "HostConfig": host or {}})


def test_the_least_that_a_client_sends() -> None:
    spec = create.decode({"Image": "busybox"}, "/web")
    assert spec == ContainerSpec(name="web", image="busybox", image_name="busybox")


def test_nulls_are_absent() -> None:
    keys = ("Cmd", "Entrypoint", "Env", "Labels", "Volumes", "ExposedPorts", "Healthcheck", "HostConfig")
    body = dict.fromkeys([*keys, "NetworkingConfig", "StopTimeout"])
    assert create.decode({"Image": "busybox", **body}) == ContainerSpec(image="busybox", image_name="busybox")


HOST: list[tuple[dict[str, Any], str, Any]] = [
    ({"Memory": 1 << 20, "NanoCpus": 500_000_000}, "resources", Resources(memory=1 << 20, nano_cpus=500_000_000)),
    ({"CpuQuota": 50_000, "CpuPeriod": 100_000}, "resources", Resources(cpu_quota=50_000, cpu_period=100_000)),
    ({"MemorySwappiness": 0, "OomKillDisable": True}, "resources", Resources(swappiness=0, oom_kill_disable=True)),
    ({"MemorySwappiness": -1, "BlkioWeight": 300}, "resources", Resources(blkio_weight=300)),
    ({"BlkioDeviceReadBps": [{"Path": "/dev/a", "Rate": 5}], "BlkioWeightDevice": [{"Path": "/dev/b", "Weight": 6}]},
     "resources",
     Resources(blkio=(BlkioLimit(kind="weight", path="/dev/b", rate=6),
                      BlkioLimit(kind="read_bps", path="/dev/a", rate=5)))),
    ({"Devices": [{"PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "r"}]}, "devices",
     (DeviceMapping(source="/dev/a", target="/dev/b", permissions="r"),)),
    ({"DeviceCgroupRules": ["c 1:3 r"]}, "device_rules", ("c 1:3 r",)),
    ({"VolumesFrom": ["other:ro"]}, "volumes_from", ("other:ro",)),
    ({"UTSMode": "host"}, "uts_mode", "host"), ({"UsernsMode": "host"}, "userns_mode", "host"),
    ({"CgroupnsMode": "host"}, "cgroup_mode", "host"), ({"CgroupnsMode": "private"}, "cgroup_mode", ""),
    ({"PidsLimit": -1}, "resources", Resources()),
    ({"CpuShares": 512, "CpusetCpus": "0", "PidsLimit": 5}, "resources", Resources(cpu_shares=512, cpuset="0", pids=5)),
    ({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}}, "restart",
     RestartPolicy(name="on-failure", max_retries=3)),
    ({"RestartPolicy": {"Name": ""}}, "restart", RestartPolicy()),
    ({"CapAdd": ["NET_ADMIN"]}, "cap_add", ("NET_ADMIN",)),
    ({"CapDrop": "ALL"}, "cap_drop", ("ALL",)),
    ({"Privileged": True}, "privileged", True),
    ({"ReadonlyRootfs": True}, "read_only", True),
    ({"ShmSize": 1024}, "shm_size", 1024),
    ({"Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}]}, "ulimits", (Ulimit(name="nofile", soft=1, hard=2),)),
    ({"ExtraHosts": ["db:10.0.0.1", "six:::1"]}, "extra_hosts", ("db=10.0.0.1", "six=::1")),
    ({"Dns": ["1.1.1.1"]}, "dns", ("1.1.1.1",)),
    ({"Init": True}, "init", True),
    ({"Init": None}, "init", False),
    ({"AutoRemove": True}, "auto_remove", True),
    ({"IpcMode": "private"}, "ipc_mode", ""),
    ({"PidMode": "host"}, "pid_mode", "host"),
    ({"Sysctls": {"net.core.somaxconn": "1"}}, "sysctls", {"net.core.somaxconn": "1"}),
    ({"OomScoreAdj": 100}, "oom_score_adj", 100),
    ({"SecurityOpt": ["seccomp=unconfined"]}, "security_opt", ("seccomp=unconfined",)),
    ({"NetworkMode": "default"}, "network_mode", ""),
    ({"NetworkMode": "bridge"}, "network_mode", "bridge"),
    ({"NetworkMode": "none"}, "network_mode", "none"),
    ({"NetworkMode": "container:abc"}, "network_mode", "container:abc"),
    ({"NetworkMode": "front"}, "networks", (Attachment(network="front"),)),
    ({"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}}, "ports", (Port(target=80, published=8080),)),
    ({"PortBindings": {"53/udp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}}, "ports",
     (Port(target=53, host_ip="127.0.0.1", protocol="udp"),)),
    ({"PortBindings": {"80": None}}, "ports", (Port(target=80),)),
    ({"Binds": ["/a:/b:ro,z"]}, "mounts", (Mount(type="bind", source="/a", target="/b", read_only=True),)),
    ({"Binds": ["data:/d:nocopy"]}, "mounts", (Mount(type="volume", source="data", target="/d", nocopy=True),)),
    ({"Tmpfs": {"/t": "size=1m,mode=700,noexec"}}, "mounts",
     (Mount(type="tmpfs", target="/t", tmpfs_size=1 << 20, tmpfs_mode=0o700, tmpfs_options="noexec"),)),
    ({"Mounts": [{"Type": "bind", "Source": "/a", "Target": "/b"}]}, "mounts",
     (Mount(type="bind", source="/a", target="/b", create_host_path=False),)),
    ({"Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 5}}]}, "mounts",
     (Mount(type="tmpfs", target="/t", tmpfs_size=5, create_host_path=False),)),
]  # fmt: skip


@pytest.mark.parametrize(("host", "field", "value"), HOST)
def test_host_config(host: dict[str, Any], field: str, value: Any) -> None:
    assert getattr(decode(host), field) == value


CONFIG: list[tuple[dict[str, Any], str, Any]] = [
    ({"Cmd": ["a", "b"]}, "command", ("a", "b")),
    ({"Cmd": []}, "command", None),
    ({"Entrypoint": [""]}, "entrypoint", ()),
    ({"Entrypoint": "sh"}, "entrypoint", ("sh",)),
    ({"Env": ["A=1", "B=", "C", "A=2=3"]}, "environment", {"A": "2=3", "B": ""}),
    ({"Volumes": {"/v": {}}}, "mounts", (Mount(type="volume", target="/v"),)),
    ({"ExposedPorts": {"80/tcp": {}}}, "expose", ("80/tcp",)),
    ({"StopTimeout": 3}, "stop_grace_period", 3_000_000_000),
    ({"StopTimeout": 0}, "stop_grace_period", 0),
    ({"Healthcheck": {"Test": ["CMD", "x"], "Interval": 5}}, "healthcheck",
     Healthcheck(test=("CMD", "x"), interval=5)),
    ({"Healthcheck": {"Test": []}}, "healthcheck", None),
    ({"NetworkingConfig": {"EndpointsConfig": {"bridge": None}}}, "networks", (Attachment(network="bridge"),)),
]  # fmt: skip


@pytest.mark.parametrize(("config", "field", "value"), CONFIG)
def test_config(config: dict[str, Any], field: str, value: Any) -> None:
    assert getattr(decode(**config), field) == value


def test_the_network_of_the_mode_comes_first_with_its_endpoint() -> None:
    endpoints = {"back": {}, "front": {"Aliases": ["web"], "IPAMConfig": {"IPv4Address": "10.0.0.5"}}}
    spec = decode({"NetworkMode": "front"}, NetworkingConfig={"EndpointsConfig": endpoints})
    assert spec.networks == (
        Attachment(network="front", aliases=("web",), ipv4="10.0.0.5"),
        Attachment(network="back"),
    )


def test_what_is_said_in_host_config_wins_over_an_anonymous_volume() -> None:
    spec = decode({"Binds": ["data:/v"]}, Volumes={"/v": {}})
    assert spec.mounts == (Mount(type="volume", source="data", target="/v"),)


BAD: list[dict[str, Any]] = [
    {"Image": ""},
    {"Image": 5},
    {"Image": "x", "Env": [1]},
    {"Image": "x", "Labels": {"a": 1}},
    {"Image": "x", "Env": ["=1"]},
    {"Image": "x", "HostConfig": {"Memory": "much"}},
    {"Image": "x", "HostConfig": {"Memory": -1}},
    {"Image": "x", "HostConfig": {"RestartPolicy": {"Name": "sometimes"}}},
    {"Image": "x", "HostConfig": {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 2}}},
    {"Image": "x", "HostConfig": {"AutoRemove": True, "RestartPolicy": {"Name": "always"}}},
    {"Image": "x", "HostConfig": {"Binds": ["nothing"]}},
    {"Image": "x", "HostConfig": {"Binds": ["/a:relative"]}},
    {"Image": "x", "HostConfig": {"Binds": ["/a:/b:sideways"]}},
    {"Image": "x", "HostConfig": {"Mounts": [{"Type": "npipe", "Target": "/x"}]}},
    {"Image": "x", "HostConfig": {"PortBindings": {"70000/tcp": []}}},
    {"Image": "x", "HostConfig": {"PortBindings": {"80/ip": []}}},
    {"Image": "x", "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "x"}]}}},
    {"Image": "x", "HostConfig": {"Tmpfs": {"/t": "size=big"}}},
    {"Image": "x", "HostConfig": {"Links": ["other"]}},
]


@pytest.mark.parametrize("body", BAD)
def test_bad_requests(body: dict[str, Any]) -> None:
    with pytest.raises(ActionError) as caught:
        create.decode(body)
    assert caught.value.reason == "bad-request"
