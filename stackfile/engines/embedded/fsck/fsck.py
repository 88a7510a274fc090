"""`system fsck` of a running engine."""

from __future__ import annotations

from collections.abc import Sequence

from stackfile.build.contexts import ContextStore
from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.files import FileStore
from stackfile.engines.embedded.fsck.checker import Checker
from stackfile.engines.embedded.fsck.databases import DatabaseFaults
from stackfile.engines.embedded.fsck.images import ImageFaults
from stackfile.engines.embedded.fsck.kernel import KernelFaults
from stackfile.engines.embedded.fsck.network import NetworkFaults
from stackfile.engines.embedded.fsck.records import RecordFaults
from stackfile.engines.embedded.fsck.rights import RightsFaults
from stackfile.engines.embedded.networks import Networks
from stackfile.engines.embedded.pool import WorkerPool
from stackfile.engines.embedded.registry import Registry
from stackfile.engines.embedded.trash import Trash
from stackfile.engines.embedded.volumes import Volumes
from stackfile.model.observed import Fault
from stackfile.provider.engine import Progress


class Fsck:
    """Makes the checks of one engine."""

    def __init__(
        self,
        core: Core,
        pool: WorkerPool,
        registry: Registry,
        networks: Networks,
        volumes: Volumes,
        files: FileStore,
        contexts: ContextStore,
        trash: Trash,
        kernel: KernelFaults,
        network: NetworkFaults,
    ) -> None:
        self._core = core
        self._pool = pool
        self._registry = registry
        self._networks = networks
        self._volumes = volumes
        self._files = files
        self._contexts = contexts
        self._trash = trash
        self._kernel = kernel
        self._network = network

    async def check(self, *, repair: bool, quick: bool, progress: Progress) -> Sequence[Fault]:
        """Every fault; `quick` reads no contents. Several checks may run at once."""
        images = ImageFaults(self._core, self._registry, self._contexts, self._pool, self._trash, quick=quick)
        records = RecordFaults(self._core, self._registry, self._networks, self._volumes, self._files, quick=quick)
        looks = [
            ("the kernel", self._kernel.look),
            ("records", records.look),
            ("networks", self._network.look),
            ("rights", RightsFaults(self._core).look),
            ("images", images.look),
        ]
        if not quick:
            looks.insert(0, ("databases", DatabaseFaults(self._core, self._pool).look))
        return await Checker(looks, progress).check(repair=repair)
