"""`version` and `info`."""

from __future__ import annotations

import platform
from typing import Any

import stackfile
from stackfile.daemon.responses import API_VERSION, MIN_API_VERSION
from stackfile.model.container import EngineInfo

_GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def architecture(machine: str) -> str:
    """The machine's name as images and Docker's clients spell it."""
    return _GO_ARCHITECTURES.get(machine, machine)


def version(info: EngineInfo) -> dict[str, Any]:
    """The answer of `version`."""
    ours = stackfile.__version__
    arch = architecture(info.architecture)
    details = {
        "ApiVersion": API_VERSION,
        "MinAPIVersion": MIN_API_VERSION,
        "Arch": arch,
        "Os": "linux",
        "KernelVersion": info.kernel,
        "GitCommit": "",
        "GoVersion": "",
        "BuildTime": "",
        "Experimental": "false",
    }
    return {
        "Platform": {"Name": "stackfile"},
        "Components": [
            {"Name": "Engine", "Version": ours, "Details": details},
            {"Name": "python", "Version": platform.python_version(), "Details": {}},
        ],
        "Version": ours,
        "ApiVersion": API_VERSION,
        "MinAPIVersion": MIN_API_VERSION,
        "GitCommit": "",
        "GoVersion": "",
        "Os": "linux",
        "Arch": arch,
        "KernelVersion": info.kernel,
        "BuildTime": "",
    }


def info(value: EngineInfo, system_time: str) -> dict[str, Any]:
    """The answer of `info`."""
    return {
        **_counts(value),
        **_machine(value),
        **_abilities(value),
        "ID": value.id,
        "Driver": {"overlay": "overlay2"}.get(value.storage_driver, value.storage_driver),
        "DriverStatus": [
            ["Backing Filesystem", {"ext4": "extfs"}.get(value.backing, value.backing)],
            ["Supports d_type", "true"],
            ["Native Overlay Diff", "true"],
            ["userxattr", "false"],
        ],
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "null"],
            "Authorization": None,
            "Log": ["json-file"],
        },
        "Debug": False,
        "SystemTime": system_time,
        "LoggingDriver": "json-file",
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": value.cgroup_version,
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": _registries(),
        "GenericResources": None,
        "DockerRootDir": value.root,
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "Labels": [],
        "ExperimentalBuild": False,
        "ServerVersion": value.version,
        "Runtimes": {"stackfile": {"path": "stackfile"}},
        "DefaultRuntime": "stackfile",
        "Swarm": _no_swarm(),
        "LiveRestoreEnabled": True,
        "Isolation": "",
        "InitBinary": "",
        "ContainerdCommit": {"ID": "", "Expected": ""},
        "RuncCommit": {"ID": "", "Expected": ""},
        "InitCommit": {"ID": "", "Expected": ""},
        "SecurityOptions": ["name=seccomp,profile=default"],
        "Warnings": list(value.warnings) or None,
    }


def _counts(value: EngineInfo) -> dict[str, Any]:
    return {
        "Containers": value.containers,
        "ContainersRunning": value.running,
        "ContainersPaused": value.paused,
        "ContainersStopped": value.stopped,
        "Images": value.images,
        "NFd": value.descriptors,
        "NGoroutines": value.tasks,
        "NEventsListener": 0,
    }


def _machine(value: EngineInfo) -> dict[str, Any]:
    return {
        "KernelVersion": value.kernel,
        "OperatingSystem": value.operating_system,
        "OSVersion": value.os_version,
        "OSType": "linux",
        "Architecture": value.architecture,
        "NCPU": value.cpus,
        "MemTotal": value.memory,
        "Name": value.name,
    }


def _abilities(value: EngineInfo) -> dict[str, bool]:
    able = ("MemoryLimit", "SwapLimit", "CpuCfsPeriod", "CpuCfsQuota", "CPUShares", "CPUSet", "PidsLimit")
    unable = ("KernelMemory", "KernelMemoryTCP", "OomKillDisable")
    return {
        **dict.fromkeys(able, True),
        **dict.fromkeys(unable, False),
        "IPv4Forwarding": value.forwarding,
        "BridgeNfIptables": value.bridge_nf[0],
        "BridgeNfIp6tables": value.bridge_nf[1],
    }


def _registries() -> dict[str, Any]:
    official = {"Name": "docker.io", "Mirrors": [], "Secure": True, "Official": True}
    return {
        "AllowNondistributableArtifactsCIDRs": [],
        "AllowNondistributableArtifactsHostnames": [],
        "InsecureRegistryCIDRs": ["127.0.0.0/8"],
        "IndexConfigs": {"docker.io": official},
        "Mirrors": [],
    }


def _no_swarm() -> dict[str, Any]:
    return {
        "NodeID": "",
        "NodeAddr": "",
        "LocalNodeState": "inactive",
        "ControlAvailable": False,
        "Error": "",
        "RemoteManagers": None,
    }
