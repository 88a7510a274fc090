"""A merged view as one tar: what `docker export` gives."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from stackfile import log
from stackfile.errors import StackfileError
from stackfile.images.archive import Member, Writer
from stackfile.images.view import MergedView, Node

_LOG = log.get("export")


def write(layers: Sequence[str], descriptor: int) -> None:
    """Write the tree of layer directories (topmost first) to `descriptor` and close it. A reader that goes away ends
    it; so does a file that changes meanwhile, whose tar stays without an end.
    """
    try:
        with open(descriptor, "wb", buffering=1 << 18) as file, MergedView(layers) as view, view.root() as root:
            writer = Writer(file)
            for node in view.walk(root):
                _add(writer, node)
            writer.finish()
    except (BrokenPipeError, StackfileError, OSError) as error:
        _LOG.warning("export ended early: %s", error)


def _add(writer: Writer, node: Node) -> None:
    mode = node.status.st_mode
    if stat.S_ISDIR(mode):
        writer.add(_member(node, "dir"))
    elif stat.S_ISREG(mode):
        content = node.open()
        try:
            writer.add_stream(_member(node, "file"), content)
        finally:
            os.close(content)
    elif stat.S_ISLNK(mode):
        writer.add(_member(node, "symlink", target=node.link))
    elif stat.S_ISFIFO(mode):
        writer.add(_member(node, "fifo"))


def _member(node: Node, kind: str, target: str = "") -> Member:
    status = node.status
    return Member(
        path=node.path.lstrip("/"),
        type=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime=int(status.st_mtime),
        size=status.st_size if kind == "file" else 0,
        target=target,
        xattrs=node.attributes(),
    )
