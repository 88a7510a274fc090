"""Reading whole databases, blobs and layers. Everything here runs in worker processes."""

from __future__ import annotations

import hashlib
import mmap
import os
import sqlite3
import stat
from collections.abc import Iterator

from stackfile.errors import ActionError, NotFoundError
from stackfile.images import difference, durable, members
from stackfile.images.blobs import BlobStore
from stackfile.images.layers import LayerStore
from stackfile.images.members import Found
from stackfile.paths import StatePaths

_SHOWN = 3
"""Findings of one database that are told."""


def check_database(path: str) -> str:
    """What SQLite says is wrong with a database: `PRAGMA integrity_check`, foreign keys; "" when it is whole."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
        # Of tables without row ids SQLite 3.40 says this wrongly; rows are decoded elsewhere.
        found = [line for line in found if line != "ok" and not line.startswith("NULL value in ")]
        found += [
            f"row {row[1]} of {row[0]} refers to nothing" for row in connection.execute("PRAGMA foreign_key_check")
        ]
    except sqlite3.DatabaseError as error:
        found = [str(error)]
    finally:
        connection.close()
    return "; ".join(found[:_SHOWN])


def check_blob(root: str, digest: str) -> str:
    """What a blob's content is instead of what its name says; "" when it is that (or has gone meanwhile)."""
    paths = StatePaths(root)
    try:
        with open(BlobStore(paths.blobs, paths.temporary).path(digest), "rb") as file:
            found = hashlib.file_digest(file, digest.partition(":")[0]).hexdigest()
            size = file.tell()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"cannot be read: {error}"
    return "" if found == digest.partition(":")[2] else f"{size} bytes with another digest, {found[:12]}…"


def check_layer(root: str, diff_id: str, chain_id: str) -> str:
    """How an unpacked layer differs from its tar; "" when all of the tar is there (or it has gone meanwhile)."""
    paths = StatePaths(root)
    try:
        with BlobStore(paths.blobs, paths.temporary).open(diff_id) as file:
            mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        wrong = list(_differences(memoryview(mapped), LayerStore(paths).path(chain_id)))
    except NotFoundError:
        return ""
    except (ActionError, OSError) as error:
        return f"cannot be compared: {error}"
    more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return f"{wrong[0]}{more}" if wrong else ""


def restore_blob(root: str, diff_id: str, chain_id: str) -> bool:
    """Write a layer's tar anew from the unpacked layer; False where that gives another one."""
    paths = StatePaths(root)
    tar = durable.temporary_name(paths.temporary, "tar-")
    try:
        if difference.write(LayerStore(paths).path(chain_id), tar).digest != diff_id:
            return False
        BlobStore(paths.blobs, paths.temporary).adopt(tar, diff_id)
    finally:
        if os.path.exists(tar):
            os.unlink(tar)
    return True


def _differences(archive: memoryview, directory: str) -> Iterator[str]:
    for path, found in _last_of_each(archive).items():
        try:
            status = os.lstat(os.path.join(os.fsencode(directory), path))
        except FileNotFoundError:
            yield f"{os.fsdecode(path)} is missing"
            continue
        if wrong := _wrong(archive, found, status, os.path.join(os.fsencode(directory), path)):
            yield f"{os.fsdecode(path)} {wrong}"


def _last_of_each(archive: memoryview) -> dict[bytes, Found]:
    """What is there after the last member: later ones win, whiteouts and devices are none of these."""
    result: dict[bytes, Found] = {}
    for found in members.read(archive):
        path = b"/".join(part for part in found.name.split(b"/") if part not in (b"", b"."))
        base = path.rpartition(b"/")[2]
        if path and not base.startswith(b".wh.") and found.kind not in b"34":
            if found.kind != b"5" and path in result and result[path].kind == b"5":
                for inner in [name for name in result if name.startswith(path + b"/")]:
                    del result[inner]
            result[path] = found
    return result


_TYPES = {b"0": stat.S_ISREG, b"1": stat.S_ISREG, b"2": stat.S_ISLNK, b"5": stat.S_ISDIR, b"6": stat.S_ISFIFO}


def _wrong(archive: memoryview, found: Found, status: os.stat_result, path: bytes) -> str:
    kind = _TYPES.get(found.kind)
    if kind is None:
        return ""
    if not kind(status.st_mode) and not (found.kind == b"1" and not stat.S_ISDIR(status.st_mode)):
        return "is of another type"
    if found.kind == b"1":
        return ""
    if (status.st_uid, status.st_gid) != (found.uid, found.gid):
        return "has another owner"
    if found.kind != b"2" and stat.S_IMODE(status.st_mode) != stat.S_IMODE(found.mode):
        return "has another mode"
    if found.kind == b"2":
        return "" if os.readlink(path) == found.link else "leads elsewhere"
    if found.kind != b"0":
        return ""
    if status.st_size != found.size:
        return f"has {status.st_size} bytes instead of {found.size}"
    return "" if _same(archive[found.start : found.start + found.size], path) else "has another content"


def _same(content: memoryview, path: bytes) -> bool:
    position = 0
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            if content[position : position + len(part)] != part:
                return False
            position += len(part)
    return position == len(content)
