"""OCI JSON documents of an image: config and manifest (image-spec config.md, manifest.md, v1.1).

The config carries no time of creation, so that the same inputs give the same image id; when an image came to be here
is said by its row.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stackfile import digest as digests
from stackfile.errors import ActionError
from stackfile.model.image import HistoryEntry, ImageConfig
from stackfile.model.stack import Healthcheck

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386", "riscv64": "riscv64"}


def architecture() -> str:
    """This machine's architecture in OCI's (Go's) words."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """Chain id of every layer, lowest first (config.md#layer-chainid)."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(digests.sha256(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return chain


def encode_config(config: ImageConfig, diff_ids: Sequence[str], history: Sequence[HistoryEntry]) -> bytes:
    """The image config document; its digest is the image's id."""
    return digests.canonical(
        {
            "architecture": architecture(),
            "os": "linux",
            "config": _config_to_plain(config),
            "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
            "history": [_history_to_plain(entry) for entry in history],
        }
    )


def encode_manifest(config: bytes, layers: Sequence[tuple[str, int]], layer_type: str = LAYER) -> bytes:
    """The manifest document of a config document and (digest, size) of layers, uncompressed if not said otherwise."""
    return digests.canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digests.sha256(config), "size": len(config)},
            "layers": [{"mediaType": layer_type, "digest": digest, "size": size} for digest, size in layers],
        }
    )


def decode_config(data: bytes) -> tuple[ImageConfig, tuple[str, ...], tuple[HistoryEntry, ...]]:
    """Config, diff ids and history of a config document. ActionError (`bad-archive`)."""
    try:
        document = json.loads(data)
        config = _config_from_plain(document.get("config") or {})
        diff_ids = tuple(str(item) for item in document["rootfs"]["diff_ids"])
        history = tuple(_history_from_plain(item) for item in document.get("history") or ())
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise ActionError("bad-archive", "the image config is malformed", cause=str(e)) from e
    if not all(digests.is_digest(item) for item in diff_ids):
        raise ActionError("bad-archive", "the image config names a malformed diff id")
    return config, diff_ids, history


@dataclass(frozen=True, slots=True)
class Made:
    """What a config document says beside the config: when (RFC 3339, maybe "") and for which machine."""

    created: str
    os: str
    architecture: str
    variant: str


def decode_made(data: bytes) -> Made:
    """The rest of a config document that `decode_config` could read."""
    document = json.loads(data)
    return Made(
        created=str(document.get("created") or ""),
        os=str(document.get("os") or "linux"),
        architecture=str(document.get("architecture") or architecture()),
        variant=str(document.get("variant") or ""),
    )


def _config_to_plain(config: ImageConfig) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "User": config.user,
        "ExposedPorts": {port: {} for port in config.exposed_ports},
        "Env": list(config.environment),
        "Entrypoint": None if config.entrypoint is None else list(config.entrypoint),
        "Cmd": None if config.command is None else list(config.command),
        "Volumes": {path: {} for path in config.volumes},
        "WorkingDir": config.working_dir,
        "Labels": config.labels,
        "StopSignal": config.stop_signal,
        "Healthcheck": None if config.healthcheck is None else _health_to_plain(config.healthcheck),
        "Shell": list(config.shell),
        "OnBuild": list(config.on_build),
    }
    return {key: value for key, value in plain.items() if value or (value == [] and key in ("Entrypoint", "Cmd"))}


def _config_from_plain(plain: Mapping[str, Any]) -> ImageConfig:
    health = plain.get("Healthcheck")
    return ImageConfig(
        entrypoint=_optional_argv(plain.get("Entrypoint")),
        command=_optional_argv(plain.get("Cmd")),
        environment=tuple(plain.get("Env") or ()),
        user=plain.get("User") or "",
        working_dir=plain.get("WorkingDir") or "",
        labels=dict(plain.get("Labels") or {}),
        exposed_ports=tuple(plain.get("ExposedPorts") or ()),
        volumes=tuple(plain.get("Volumes") or ()),
        stop_signal=plain.get("StopSignal") or "",
        healthcheck=_health_from_plain(health) if health else None,
        shell=tuple(plain.get("Shell") or ()),
        on_build=tuple(plain.get("OnBuild") or ()),
    )


def _optional_argv(value: Any) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)


def _health_to_plain(health: Healthcheck) -> dict[str, Any]:
    plain = {
        "Test": list(health.test),
        "Interval": health.interval,
        "Timeout": health.timeout,
        "Retries": health.retries,
        "StartPeriod": health.start_period,
        "StartInterval": health.start_interval,
    }
    return {key: value for key, value in plain.items() if value}


def _health_from_plain(plain: Mapping[str, Any]) -> Healthcheck:
    default = Healthcheck(test=())
    return Healthcheck(
        test=tuple(plain.get("Test") or ()),
        interval=plain.get("Interval") or default.interval,
        timeout=plain.get("Timeout") or default.timeout,
        retries=plain.get("Retries") or default.retries,
        start_period=plain.get("StartPeriod") or default.start_period,
        start_interval=plain.get("StartInterval") or default.start_interval,
    )


def _history_to_plain(entry: HistoryEntry) -> dict[str, Any]:
    plain = {
        "created": entry.created,
        "created_by": entry.created_by,
        "comment": entry.comment,
        "empty_layer": entry.empty_layer,
    }
    return {key: value for key, value in plain.items() if value}


def _history_from_plain(plain: Mapping[str, Any]) -> HistoryEntry:
    return HistoryEntry(
        created_by=str(plain.get("created_by") or ""),
        empty_layer=bool(plain.get("empty_layer")),
        comment=str(plain.get("comment") or ""),
        created=str(plain.get("created") or ""),
    )
