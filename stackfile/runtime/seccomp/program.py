from __future__ import annotations


def default_program(capabilities: int, architecture: str) -> bytes:
    """BPF of the default profile for a capability set."""
    raise NotImplementedError
