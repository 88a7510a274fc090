"""`init` writes a stack file that is right, and overwrites nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackfile.cli import main


def test_init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    assert main(["validate"]) == 0
    assert main(["lint"]) == 0, capfd.readouterr().out
    before = Path("stack.yaml").read_text()
    assert main(["init"]) == 1
    assert "stack.yaml is there already" in capfd.readouterr().err
    assert Path("stack.yaml").read_text() == before


def test_other_stack_files_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("compose.yml").write_text("")
    assert main(["init"]) == 1
    assert not Path("stack.yaml").exists()
