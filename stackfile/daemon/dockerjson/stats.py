"""Usage of a container as `containers/ID/stats` gives it."""

from __future__ import annotations

from typing import Any

from stackfile.daemon.dockerjson import times
from stackfile.model.container import ContainerRecord, Stats


def encode(record: ContainerRecord, now: Stats, before: Stats | None) -> dict[str, Any]:
    """A sample; `before` (the sample a second earlier) is what a client computes the CPU's use from."""
    return {
        "read": now.time,
        "preread": before.time if before else times.ZERO,
        "pids_stats": {"current": now.pids, **({"limit": now.pids_limit} if now.pids_limit else {})},
        "blkio_stats": {
            "io_service_bytes_recursive": [
                {"major": major, "minor": minor, "op": direction.capitalize(), "value": value}
                for major, minor, direction, value in now.io
            ],
            "io_serviced_recursive": [],
            "io_queue_recursive": [],
            "io_service_time_recursive": [],
            "io_wait_time_recursive": [],
            "io_merged_recursive": [],
            "io_time_recursive": [],
            "sectors_recursive": [],
        },
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _cpu(now),
        "precpu_stats": _cpu(before) if before else _no_cpu(),
        "memory_stats": {
            "usage": now.memory,
            "max_usage": now.memory_peak,
            "limit": now.memory_limit,
            "stats": dict(now.memory_details),
        },
        "name": f"/{record.spec.name}",
        "id": record.id,
        "networks": {
            "eth0": {
                "rx_bytes": now.rx_bytes, "rx_packets": now.rx_packets, "rx_errors": 0, "rx_dropped": 0,
                "tx_bytes": now.tx_bytes, "tx_packets": now.tx_packets, "tx_errors": 0, "tx_dropped": 0,
            }
        },
    }  # fmt: skip


def _cpu(stats: Stats) -> dict[str, Any]:
    return {
        "cpu_usage": {
            "total_usage": stats.cpu_total,
            "percpu_usage": list(stats.cpu_each),
            "usage_in_kernelmode": stats.cpu_kernel,
            "usage_in_usermode": stats.cpu_user,
        },
        "system_cpu_usage": stats.cpu_system,
        "online_cpus": stats.online_cpus,
        "throttling_data": {
            "periods": stats.periods,
            "throttled_periods": stats.throttled_periods,
            "throttled_time": stats.throttled_ns,
        },
    }


def _no_cpu() -> dict[str, Any]:
    return {
        "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    }


def nothing(record: ContainerRecord) -> dict[str, Any]:
    """What a container that does not run uses."""
    zero = Stats(
        time=times.ZERO, cpu_total=0, cpu_system=0, online_cpus=0, memory=0, memory_limit=0, memory_cache=0, pids=0,
        pids_limit=0, rx_bytes=0, tx_bytes=0, rx_packets=0, tx_packets=0, read_bytes=0, write_bytes=0,
    )  # fmt: skip
    return encode(record, zero, None)
