"""Where an engine keeps things: the layout of the state root and the run root.

The state root survives a reboot; the run root (a tmpfs below /run) does not. Nothing else knows these names.
"""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StatePaths:
    """Layout below the state root."""

    root: str

    @property
    def database(self) -> str:
        return f"{self.root}/state.db"

    @property
    def key(self) -> str:
        """32 random bytes, mode 0600: the HMAC key of this engine."""
        return f"{self.root}/key"

    @property
    def blobs(self) -> str:
        """OCI content store: `blobs/<algorithm>/<hex>`."""
        return f"{self.root}/blobs"

    @property
    def layers(self) -> str:
        """Unpacked layers: `layers/<hex of chain id>/`."""
        return f"{self.root}/layers"

    @property
    def contexts(self) -> str:
        """Manifests of build contexts: `contexts/<hex>.json`."""
        return f"{self.root}/contexts"

    @property
    def caches(self) -> str:
        """Directories of `RUN --mount=type=cache`: `caches/<hash of the id>/`."""
        return f"{self.root}/caches"

    @property
    def volumes(self) -> str:
        return f"{self.root}/volumes"

    @property
    def files(self) -> str:
        """Content of secrets and configs: `files/<project>/<kind>/<name>/…`, mode 0600."""
        return f"{self.root}/files"

    @property
    def temporary(self) -> str:
        """Half-written things; emptied at every start. Same file system as the rest, so that rename works."""
        return f"{self.root}/tmp"

    def container(self, identity: str) -> str:
        """Directory of one container: `upper/ work/ logs/`."""
        return f"{self.root}/containers/{identity}"


@dataclass(frozen=True, slots=True)
class RunPaths:
    """Layout below the run root. Everything is 0700 root, but for the daemon's socket."""

    root: str

    @property
    def database(self) -> str:
        return f"{self.root}/run.db"

    @property
    def lock(self) -> str:
        """flock of the one supervisor of this engine."""
        return f"{self.root}/lock"

    @property
    def socket(self) -> str:
        """HTTP of the daemon."""
        return f"{self.root}/stackfile.sock"

    @property
    def worker(self) -> str:
        """argv + fds of a client, to a warm worker."""
        return f"{self.root}/worker.sock"

    @property
    def supervisor(self) -> str:
        return f"{self.root}/supervisor.sock"

    @property
    def shim(self) -> str:
        return f"{self.root}/shim.sock"

    @property
    def resolver(self) -> str:
        return f"{self.root}/resolver.sock"

    def log(self, process: str) -> str:
        """Log of one of our processes."""
        return f"{self.root}/{process}.log"

    def record(self, process: str) -> str:
        """Which process is this child of the supervisor."""
        return f"{self.root}/{process}.pid"

    def container(self, identity: str) -> str:
        """Directory of one running container: FIFOs, resolv.conf, hosts, hostname, secrets on tmpfs, mount point."""
        return f"{self.root}/containers/{identity}"


def ensure_private(path: str) -> None:
    """Make `path` (and parents) a directory that only root may enter."""
    os.makedirs(path, mode=0o700, exist_ok=True)
