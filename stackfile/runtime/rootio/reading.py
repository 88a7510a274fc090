"""A file or a directory of a container as a tar."""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

from stackfile.images import difference
from stackfile.runtime.rootio.root import open_entry


def write_tar(root: int, path: str, out: BinaryIO) -> None:
    """Write what `path` names; names in the tar begin with its last part, `.` where the path ends in `/.`."""
    found, name = open_entry(root, path)
    try:
        if path.endswith("/.") or name == "/":
            name = "."
        if stat.S_ISDIR(os.fstat(found).st_mode):
            directory = os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                difference.write_tree(directory, name, out)
            finally:
                os.close(directory)
        else:
            difference.write_file(found, name, out)
    finally:
        os.close(found)
