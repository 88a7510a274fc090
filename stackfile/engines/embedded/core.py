"""The low-level parts that every concept of the engine shares."""

from __future__ import annotations

from dataclasses import dataclass

from stackfile.images.snapshots import Snapshots
from stackfile.images.store import ImageStore
from stackfile.network.manager import NetworkManager
from stackfile.network.resolver_client import ResolverClient
from stackfile.paths import RunPaths, StatePaths
from stackfile.runtime.cgroup import Cgroups
from stackfile.runtime.shim_client import ShimClient
from stackfile.settings import Settings
from stackfile.store.run import RunStore
from stackfile.store.state import StateStore
from stackfile.supervisor.client import Supervisor


@dataclass(frozen=True, slots=True)
class Core:
    """Databases, the other processes, and the kernel by our packages. `key` is the engine's HMAC key."""

    settings: Settings
    paths: StatePaths
    run_paths: RunPaths
    key: bytes
    state: StateStore
    run: RunStore
    supervisor: Supervisor
    shim: ShimClient
    resolver: ResolverClient
    network: NetworkManager
    cgroups: Cgroups
    images: ImageStore
    snapshots: Snapshots
