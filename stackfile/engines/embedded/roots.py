"""The state root of an engine: its directories, its key, and the lock that keeps a second daemon out."""

from __future__ import annotations

import fcntl
import os
import secrets

from stackfile.errors import EngineError
from stackfile.paths import StatePaths, ensure_private


def prepare(paths: StatePaths) -> None:
    """Make what is missing, 0700."""
    ensure_private(paths.root)
    for directory in (paths.blobs, paths.layers, paths.contexts, paths.volumes, paths.files, paths.temporary):
        ensure_private(directory)
    ensure_private(f"{paths.root}/containers")


def lock(paths: StatePaths) -> int:
    """Take the state root (flock(2)); holds as long as the descriptor. EngineError (`engine-locked`)."""
    descriptor = os.open(f"{paths.root}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise EngineError(
            "engine-locked",
            f"another daemon has the state root {paths.root}",
            hint="stop it, or set STACKFILE_ROOT to another directory",
        ) from error
    return descriptor


def key(paths: StatePaths) -> bytes:
    """The engine's HMAC key, made at the first start."""
    try:
        with open(paths.key, "rb") as file:
            return file.read()
    except FileNotFoundError:
        pass
    fresh = secrets.token_bytes(32)
    descriptor = os.open(f"{paths.key}.part", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, fresh)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(f"{paths.key}.part", paths.key)
    return fresh


def boot_id() -> str:
    """A value that changes when the machine is booted (random(4))."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()
