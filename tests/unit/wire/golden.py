"""Fifty container specs that differ in what they use. Their hashes are pinned in golden_specs.json.

Run `python -m tests.unit.wire.golden` to print the file anew. A hash that changes means that existing containers would
be taken for changed: only a deliberate change of `spec_version` may do that.
"""

from __future__ import annotations

import json
from typing import Any

from stackfile import wire
from stackfile.model.container import ContainerSpec, FileMount, LogConfig
from stackfile.model.stack import (
    SECOND,
    Attachment,
    Dependency,
    Healthcheck,
    Mount,
    Port,
    Resources,
    RestartPolicy,
    SecretRef,
    Ulimit,
)

IMAGE = "sha256:" + "5" * 64
KEY = "hmac:" + "a" * 64
WEB: dict[str, Any] = {"name": "p-web-1", "image": IMAGE, "image_name": "app"}


def specs() -> list[ContainerSpec]:
    """In the order of the pinned hashes: append only."""
    return [
        ContainerSpec(),
        ContainerSpec(**WEB),
        ContainerSpec(**WEB, entrypoint=("/bin/app",)),
        ContainerSpec(**WEB, entrypoint=()),
        ContainerSpec(**WEB, command=("serve", "--port", "80")),
        ContainerSpec(**WEB, command=()),
        ContainerSpec(**WEB, environment={"A": "1"}),
        ContainerSpec(**WEB, environment={"A": "1", "B": None}),
        ContainerSpec(**WEB, environment={"A": ""}),
        ContainerSpec(**WEB, environment={"T": SecretRef("token")}, secret_keys={"token": KEY}),
        ContainerSpec(**WEB, user="1000:1000"),
        ContainerSpec(**WEB, working_dir="/app"),
        ContainerSpec(**WEB, hostname="web", domainname="example.org"),
        ContainerSpec(**WEB, labels={"a": "b", "c": ""}),
        ContainerSpec(**WEB, ports=(Port(target=80),)),
        ContainerSpec(**WEB, ports=(Port(target=80, published=8080), Port(target=53, protocol="udp"))),
        ContainerSpec(**WEB, ports=(Port(target=80, published=8080, host_ip="127.0.0.1", mode="host"),)),
        ContainerSpec(**WEB, publish_all=True),
        ContainerSpec(**WEB, expose=("80/tcp",)),
        ContainerSpec(**WEB, mounts=(Mount(type="volume", source="p_data", target="/data"),)),
        ContainerSpec(**WEB, mounts=(Mount(type="volume", target="/cache"),)),
        ContainerSpec(**WEB, mounts=(Mount(type="bind", source="/srv", target="/srv", read_only=True),)),
        ContainerSpec(**WEB, mounts=(Mount(type="tmpfs", target="/tmp", tmpfs_size=1 << 20),)),
        ContainerSpec(**WEB, mounts=(Mount(type="volume", source="v", target="/v", nocopy=True, subpath="a/b"),)),
        ContainerSpec(**WEB, files=(FileMount(kind="config", name="c", target="/c", key=KEY),)),
        ContainerSpec(**WEB, files=(FileMount(kind="secret", name="s", target="/s", key=KEY, mode=0o400),)),
        ContainerSpec(**WEB, files=(FileMount(kind="config", name="c", target="/c", key=KEY, on_change="SIGHUP"),)),
        ContainerSpec(**WEB, networks=(Attachment(network="p_default"),)),
        ContainerSpec(**WEB, networks=(Attachment(network="p_default", aliases=("web", "www")),)),
        ContainerSpec(**WEB, networks=(Attachment(network="p_default", ipv4="10.0.0.9", mac="02:00:00:00:00:01"),)),
        ContainerSpec(**WEB, network_mode="host"),
        ContainerSpec(**WEB, depends_on={"db": Dependency()}),
        ContainerSpec(**WEB, depends_on={"db": Dependency(condition="service_healthy", required=False)}),
        ContainerSpec(**WEB, healthcheck=Healthcheck(test=("CMD", "ok"))),
        ContainerSpec(**WEB, healthcheck=Healthcheck(test=("CMD-SHELL", "ok"), interval=2 * SECOND, retries=1)),
        ContainerSpec(**WEB, restart=RestartPolicy(name="on-failure", max_retries=3)),
        ContainerSpec(**WEB, restart=RestartPolicy(name="always")),
        ContainerSpec(**WEB, resources=Resources(memory=64 << 20)),
        ContainerSpec(**WEB, resources=Resources(nano_cpus=500_000_000, cpuset="0-1", pids=100)),
        ContainerSpec(**WEB, stop_signal="SIGINT", stop_grace_period=0),
        ContainerSpec(**WEB, tty=True, stdin_open=True, stdin_once=True),
        ContainerSpec(**WEB, init=True, read_only=True),
        ContainerSpec(**WEB, privileged=True, security_opt=("no-new-privileges",)),
        ContainerSpec(**WEB, cap_add=("NET_ADMIN",), cap_drop=("ALL",)),
        ContainerSpec(**WEB, group_add=("video",), shm_size=1 << 20),
        ContainerSpec(**WEB, ulimits=(Ulimit(name="nofile", soft=1024, hard=2048),)),
        ContainerSpec(
            **WEB, extra_hosts=("a=10.0.0.1",), dns=("9.9.9.9",), dns_search=("x",), dns_options=("ndots:1",)
        ),
        ContainerSpec(**WEB, sysctls={"net.core.somaxconn": "1024"}, oom_score_adj=-500),
        ContainerSpec(**WEB, pid_mode="host", ipc_mode="host"),
        ContainerSpec(**WEB, log=LogConfig(max_size=1000, options={"a": "b"}), auto_remove=True),
    ]


if __name__ == "__main__":
    print(json.dumps([wire.spec_hash(spec) for spec in specs()], indent=0))
