"""The parts of HostConfig that few containers have: devices, namespaces of the machine, rarer limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackfile.daemon.dockerjson import values
from stackfile.model.container import ContainerSpec
from stackfile.model.stack import BlkioLimit, DeviceMapping, Resources

_RATES = {
    "BlkioDeviceReadBps": "read_bps",
    "BlkioDeviceWriteBps": "write_bps",
    "BlkioDeviceReadIOps": "read_iops",
    "BlkioDeviceWriteIOps": "write_iops",
}


def devices(host: Mapping[str, Any]) -> tuple[DeviceMapping, ...]:
    return tuple(
        DeviceMapping(
            source=(source := values.text(item, "PathOnHost")),
            target=values.text(item, "PathInContainer") or source,
            permissions=values.text(item, "CgroupPermissions") or "rwm",
        )
        for item in values.objects(host, "Devices")
    )


def blkio(host: Mapping[str, Any]) -> tuple[BlkioLimit, ...]:
    weights = [
        BlkioLimit(kind="weight", path=values.text(item, "Path"), rate=values.number(item, "Weight"))
        for item in values.objects(host, "BlkioWeightDevice")
    ]
    rates = [
        BlkioLimit(kind=kind, path=values.text(item, "Path"), rate=values.number(item, "Rate"))
        for key, kind in _RATES.items()
        for item in values.objects(host, key)
    ]
    return (*weights, *rates)


def swappiness(host: Mapping[str, Any]) -> int | None:
    """-1 and nothing leave the kernel's."""
    number = values.number(host, "MemorySwappiness", -1)
    return number if number >= 0 else None


def encode(spec: ContainerSpec) -> dict[str, Any]:
    """These keys of an inspect's HostConfig."""
    return {
        "VolumesFrom": list(spec.volumes_from) or None,
        "CgroupnsMode": spec.cgroup_mode or "private",
        "UTSMode": spec.uts_mode,
        "UsernsMode": spec.userns_mode,
        "Devices": [_device(item) for item in spec.devices],
        "DeviceCgroupRules": list(spec.device_rules) or None,
        **_limits(spec.resources),
    }


def _device(item: DeviceMapping) -> dict[str, str]:
    return {"PathOnHost": item.source, "PathInContainer": item.target, "CgroupPermissions": item.permissions}


def _limits(limits: Resources) -> dict[str, Any]:
    return {
        "BlkioWeight": limits.blkio_weight,
        "BlkioWeightDevice": [{"Path": i.path, "Weight": i.rate} for i in limits.blkio if i.kind == "weight"],
        **{
            key: [{"Path": item.path, "Rate": item.rate} for item in limits.blkio if item.kind == kind]
            for key, kind in _RATES.items()
        },
        "CpuPeriod": limits.cpu_period,
        "CpuQuota": limits.cpu_quota,
        "MemorySwappiness": limits.swappiness,
        "OomKillDisable": limits.oom_kill_disable,
    }
