"""The looks and repairs of `system fsck` that need no engine."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from pathlib import Path

import pytest

from stackfile.engines.embedded.fsck import contents, images
from stackfile.engines.embedded.fsck.checker import Checker
from stackfile.engines.embedded.fsck.problem import Problem, at_once
from stackfile.errors import ActionError
from stackfile.images import importing
from stackfile.store.database import reindex
from tests.unit.images.kit import add_layer, open_store


def test_an_index_that_lost_its_rows_is_made_anew(tmp_path: Path) -> None:
    path = f"{tmp_path}/x.db"
    with sqlite3.connect(path) as database:
        database.executescript(
            "CREATE TABLE t (a TEXT NOT NULL, b INTEGER, PRIMARY KEY (b)) WITHOUT ROWID; CREATE INDEX i ON t (a);"
            "INSERT INTO t VALUES ('x', 1), ('y', 2); CREATE TABLE u (r INTEGER REFERENCES t (b))"
        )
    assert contents.check_database(path) == ""
    with sqlite3.connect(path) as database:
        database.executescript("PRAGMA writable_schema=1; UPDATE sqlite_schema SET sql='' WHERE 0")
        database.execute(
            "UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON t (a COLLATE NOCASE DESC)' WHERE name = 'i'"
        )
    assert "index i" in contents.check_database(path)
    reindex(path)
    assert contents.check_database(path) == ""
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO u VALUES (7)")
    assert contents.check_database(path) == "row 1 of u refers to nothing"
    Path(path).write_bytes(b"no database" * 1000)
    assert "not a database" in contents.check_database(path)
    reindex(path)


@pytest.mark.root
def test_blobs_and_layers_are_compared_and_restored(tmp_path: Path) -> None:
    with open_store(tmp_path / "root") as store:
        below = add_layer(store, "below")
        layer = add_layer(store, "text", below.chain_id)
        root, place = store.paths.root, Path(store.layers.path(layer.chain_id), "f")
        layers = (root, layer.diff_id, layer.chain_id)
        assert contents.check_blob(root, layer.diff_id) == contents.check_layer(*layers) == ""
        place.write_text("tuxt")
        assert contents.check_layer(*layers) == "f has another content"
        place.write_text("longer")
        assert contents.check_layer(*layers) == "f has 6 bytes instead of 4"
        place.chmod(0o600)
        assert contents.check_layer(*layers) == "f has another mode"
        place.unlink()
        assert contents.check_layer(*layers) == "f is missing"
        importing.unpack_layer(root, layer.diff_id, [below.diff_id], True)
        assert contents.check_layer(*layers) == ""

        blob = Path(store.blobs.path(layer.diff_id))
        blob.write_bytes(blob.read_bytes()[:-1])
        assert contents.check_blob(root, layer.diff_id).endswith("another digest, " + _short(blob))
        blob.unlink()
        assert contents.check_blob(root, layer.diff_id) == contents.check_layer(*layers) == ""
        assert contents.restore_blob(*layers)
        assert contents.check_blob(root, layer.diff_id) == ""
        blob.unlink()
        place.write_text("other")
        assert not contents.restore_blob(*layers)
        store.sweep()
        assert os.listdir(store.paths.temporary) == []


def _short(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] + "…"


def test_only_what_nobody_touches_is_left_over(tmp_path: Path) -> None:
    (tmp_path / "blob-1").touch()
    assert images.left_over(str(tmp_path), time.time()) == []
    assert images.left_over(str(tmp_path), time.time() + 3600) == [f"{tmp_path}/blob-1"]


class Things:
    """What a look finds: `looks` from one to the next, and then `lasting`."""

    def __init__(self, *looks: set[str], lasting: set[str]) -> None:
        self.looks, self.lasting, self.removed = list(looks), lasting, [""][1:]

    async def look(self) -> list[Problem]:
        present = self.looks.pop(0) if self.looks else self.lasting
        return [Problem("differences", name, "there", "gone", at_once(self.remove, name)) for name in sorted(present)]

    def remove(self, name: str) -> None:
        self.removed.append(name)
        if name == "stubborn":
            raise ActionError("in-use", "somebody has it")
        self.lasting.discard(name)
        if name == "outer":
            self.lasting.add("inner")


def test_what_comes_and_goes_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackfile.engines.embedded.fsck.checker._PAUSE", 0.0)
    things = Things({"a", "b"}, {"a", "c"}, lasting={"a", "b", "c"})
    found = asyncio.run(Checker([("things", things.look)], lambda text: None).check(repair=False))
    assert [(fault.subject, fault.mended) for fault in found] == [("a", False)]
    assert things.removed == []


def test_what_a_repair_brings_to_light_is_repaired_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackfile.engines.embedded.fsck.checker._PAUSE", 0.0)
    things = Things(lasting={"outer", "stubborn"})
    found = asyncio.run(Checker([("things", things.look)], lambda text: None).check(repair=True))
    assert {fault.subject: (fault.mended, fault.failed) for fault in found} == {
        "outer": (True, ""),
        "inner": (True, ""),
        "stubborn": (False, "somebody has it"),
    }
    assert things.removed.count("stubborn") == 1
