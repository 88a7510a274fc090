"""Settings below /proc/sys/net, of the network namespace that the calling thread is in."""

from __future__ import annotations

from stackfile.errors import KernelError

FORWARD = "ipv4/ip_forward"
FORWARD6 = "ipv6/conf/all/forwarding"


def read(name: str) -> str:
    """Value of `net/<name>` (slashes, as in the path); "" where this kernel has no such setting."""
    try:
        with open(f"/proc/sys/net/{name}") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def write(name: str, value: str) -> None:
    """Set `net/<name>`. KernelError where it cannot be written."""
    path = f"/proc/sys/net/{name}"
    try:
        with open(path, "w") as file:
            file.write(value)
    except OSError as error:
        raise KernelError(error.errno or 0, "write", path) from error
