"""Networks that every engine has, whether a container needs them or not."""

from __future__ import annotations

from hashlib import sha256

DRIVERS = {"bridge": "bridge", "host": "host", "none": "null"}
"""Name → driver, as Docker lists them."""


def network_id(engine_id: str, name: str) -> str:
    """Id of a built-in network: one per engine, the same for ever, though bridge is made only when it is needed."""
    return sha256(f"{engine_id} network {name}".encode()).hexdigest()
