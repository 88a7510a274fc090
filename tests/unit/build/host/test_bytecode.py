"""Compiled modules are made from their sources alone."""

from __future__ import annotations

import importlib.util
import marshal
import os
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

from stackfile.build.host import bytecode

SOURCE = "NAME = 'a' * 3\n\ndef f(x: int = 1) -> set[int]:\n    return {x, 2, 3}\n\nclass C:\n    'text'\n"


def test_with_and_without_a_cached_file(tmp_path: Path) -> None:
    source = tmp_path / "m.py"
    source.write_text(SOURCE)
    plain = bytecode.compile_source(str(source))
    py_compile.compile(str(source), doraise=True)
    assert os.path.exists(bytecode.cached_path(str(source)))
    assert bytecode.compile_source(str(source)) == plain
    os.utime(source, (5, 5))
    assert bytecode.compile_source(str(source)) == plain


def test_another_process_makes_the_same(tmp_path: Path) -> None:
    source = tmp_path / "m.py"
    source.write_text(SOURCE)
    script = "import sys; from stackfile.build.host import bytecode as b; print(b.compile_source(sys.argv[1]).hex())"
    other = subprocess.run([sys.executable, "-c", script, str(source)], capture_output=True, text=True, check=True)
    made = bytecode.compile_source(str(source))
    assert made is not None
    assert other.stdout.strip() == made.hex()


def test_the_interpreter_takes_it(tmp_path: Path) -> None:
    source = tmp_path / "m.py"
    source.write_text(SOURCE)
    made = bytecode.compile_source(str(source))
    assert made is not None
    assert made[:4] == importlib.util.MAGIC_NUMBER
    space: dict[str, object] = {}
    exec(marshal.loads(made[16:]), space)
    assert space["NAME"] == "aaa"


def test_a_stale_cached_file_is_not_used(tmp_path: Path) -> None:
    source = tmp_path / "m.py"
    source.write_text("OLD = 1\n")
    py_compile.compile(str(source), doraise=True)
    source.write_text(SOURCE)
    made = bytecode.compile_source(str(source))
    assert made is not None
    assert b"OLD" not in made


def test_what_does_not_compile(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def (:\n")
    assert bytecode.compile_source(f"{tmp_path}/bad.py") is None


def test_by_the_interpreter_of_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this process has another version, the image's interpreter does it, with the same result."""
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text(SOURCE)
    bad.write_text("def (:\n")
    tag = sys.implementation.cache_tag
    here = bytecode.compile_all([str(bad), str(good)], tag, "")
    assert list(here) == [str(good)]
    monkeypatch.setattr(sys.implementation, "cache_tag", "cpython-000")
    assert bytecode.compile_all([str(bad), str(good)], tag, sys.executable) == here
    assert bytecode.compile_all([str(good)], tag, "") == {}
    assert bytecode.compile_all([str(good)], tag, "/bin/false") == {}
