"""Format of a log's index: a header, then a record per chunk of the log beside it. Little-endian, 24 bytes each.

header  magic, generation (rises by one with every rotation), inode of the log file it belongs to
record  offset in the log, length, time in ns since the epoch

A record with LOST set in its length says that so many bytes could not be written before `offset`.
"""

from __future__ import annotations

import struct

MAGIC = b"SFLOGIX1"
HEADER = struct.Struct("<8sQQ")
RECORD = struct.Struct("<QQQ")
LOST = 1 << 63
SIZE = 24

STREAMS = {1: "stdout", 2: "stderr"}


def log_name(stream: int, number: int = 0) -> str:
    """File name of a stream's log; `number` counts rotations back from the current one."""
    return f"{STREAMS[stream]}.log" + (f".{number}" if number else "")


def index_name(stream: int, number: int = 0) -> str:
    return f"{STREAMS[stream]}.idx" + (f".{number}" if number else "")
