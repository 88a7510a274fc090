"""Docker's multiplexed stream: stream number, three zero bytes, length (4 bytes, big endian), data.

Docker Engine API, "Attach to a container", stream format.
"""

from __future__ import annotations

import struct

_HEADER = struct.Struct(">BxxxL")
FAILED = 3
"""At the end of output that could not be given in full: why, as text (Docker's `Systemerr`)."""
ENDED = 4
"""Stream of ours, at the end of a `run`: how the process ended, as JSON."""


def frame(stream: int, data: bytes) -> bytes:
    """`data` of `stream` (1 stdout, 2 stderr, `FAILED`, `ENDED`) as a frame."""
    return _HEADER.pack(stream, len(data)) + data
