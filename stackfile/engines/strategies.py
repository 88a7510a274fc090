"""The change table of engines that hold containers: how a change of each field reaches a container.

none          nothing to do
record        the engine's record only; the container does not notice
in-place      applied to the running container (limits, ports, networks, names)
drop-connections   in place, but open connections of the container break
restart       same id and writable layer, new process
recreate      new id and writable layer
on_change     as the reference of the config or secret says: restart, recreate, none, or a signal

Keys are paths of `ContainerSpec`. What no key fits is `recreate`.
"""

from __future__ import annotations

TABLE: dict[str, str] = {
    # the engine's record
    "name": "record",
    "image_name": "record",
    "labels": "record",
    "expose": "record",
    "depends_on": "record",
    "healthcheck": "record",
    "restart": "record",
    "stop_signal": "record",
    "stop_grace_period": "record",
    "annotations": "record",
    "post_start": "record",
    "pre_stop": "record",
    "log/options": "record",
    "log/max_size": "record",
    "log/max_files": "record",
    "auto_remove": "record",
    "attach_output": "record",
    "files/on_change": "record",
    # the kernel's, while it runs
    "resources": "in-place",
    "device_rules": "in-place",
    "ports": "in-place",
    "publish_all": "in-place",
    "networks": "in-place",
    "extra_hosts": "in-place",
    "dns": "in-place",
    "dns_search": "in-place",
    "dns_options": "in-place",
    # the kernel's, connections break
    "networks/ipv4": "drop-connections",
    "networks/ipv6": "drop-connections",
    "networks/mac": "drop-connections",
    "networks/interface": "drop-connections",
    # a new process
    "ulimits": "restart",
    "oom_score_adj": "restart",
    "sysctls": "restart",
    "shm_size": "restart",
    "init": "restart",
    "log/driver": "restart",
    "files/content": "on_change",
}
