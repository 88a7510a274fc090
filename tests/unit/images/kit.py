"""Layer directories and stores for tests."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stackfile.images import archive
from stackfile.images.archive import Member
from stackfile.images.layers import Layer
from stackfile.images.store import ImageStore
from stackfile.paths import StatePaths
from stackfile.store.state import StateStore


def whiteout(path: Path) -> None:
    """What overlay leaves where a file of a lower layer was removed."""
    os.mknod(path, 0o600 | stat.S_IFCHR, 0)


def opaque(path: Path) -> None:
    """Mark a directory: what is below it shows no more."""
    os.setxattr(path, "trusted.overlay.opaque", b"y")


def tree(root: Path, files: dict[str, str | None]) -> Path:
    """Make files by path; None is a directory, `→x` a link to x."""
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            path.mkdir(exist_ok=True)
        elif text.startswith("→"):
            path.symlink_to(text[1:])
        else:
            path.write_text(text)
    return root


@contextmanager
def open_store(directory: Path) -> Iterator[ImageStore]:
    """An image store over a real database."""
    paths = StatePaths(str(directory))
    directory.mkdir(exist_ok=True)
    database = StateStore(paths.database, "engine")
    try:
        store = ImageStore(paths, database.images)
        store.recover()
        yield store
    finally:
        database.close()


def add_layer(store: ImageStore, text: str, below: str = "") -> Layer:
    """Publish a layer with one file `f` that holds `text`."""
    from stackfile.build import layer

    lower = (store.layers.path(below),) if below else ()
    member = Member(path="f", type="file", mode=0o644, size=len(text), content=text.encode())
    made = layer.of_members(layer.Ground(root=store.paths.root, lower=lower, chain_id=below), [member])
    assert int(os.stat(f"{store.layers.path(made.chain_id)}/f").st_mtime) == archive.EPOCH
    return Layer(diff_id=made.diff_id, chain_id=made.chain_id, size=made.size)
