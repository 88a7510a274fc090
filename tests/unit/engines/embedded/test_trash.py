"""Deleting off the critical path."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from stackfile.engines.embedded.trash import Trash

ROUNDS = 20
PARTS = {"config": 150, "files": 20, "rest": 150}


def test_what_others_delete_too_goes_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "trash").mkdir()
    trash = Trash(str(tmp_path / "trash"))
    for number in range(ROUNDS):
        whole = tmp_path / str(number)
        for part, files in PARTS.items():
            (whole / part).mkdir(parents=True)
            for name in range(files):
                (whole / part / str(name)).touch()
        other = threading.Thread(target=shutil.rmtree, args=(whole / "files", True))
        other.start()
        trash.discard(str(whole))
        other.join()
    trash.close()
    assert list((tmp_path / "trash").iterdir()) == []
