"""Reading real ELF files, and refusing what is none."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackfile.build.host import elf
from stackfile.build.host.loader import Loader, default_directories, expand


def test_the_shell_of_this_machine() -> None:
    found = elf.read("/bin/sh")
    assert found is not None
    assert os.path.exists(found.interpreter)
    assert any(name.startswith("libc.") for name in found.needed)


def test_every_library_of_this_interpreter_is_found() -> None:
    loader = Loader()
    path = os.path.realpath(sys.executable)
    found = loader.elf(path)
    assert found is not None
    for name in found.needed:
        library = loader.find(name, found, path)
        assert library is not None, name
        assert os.path.exists(library.path)


def test_agrees_with_the_kernel() -> None:
    """What the loader really mapped into this process is what we say it would."""
    loader = Loader()
    path = os.path.realpath(sys.executable)
    found = loader.elf(path)
    assert found is not None
    with open("/proc/self/maps") as file:
        mapped = {line.split()[-1] for line in file if "/" in line}
    for name in found.needed:
        library = loader.find(name, found, path)
        assert library is not None
        assert os.path.realpath(library.path) in mapped


def test_what_is_no_elf_file(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("#!/bin/sh\n")
    assert elf.read(f"{tmp_path}/text") is None
    assert elf.read("/dev/null") is None


@given(st.integers(0, 200), st.binary(min_size=1, max_size=8))
def test_broken_headers_do_no_harm(position: int, noise: bytes) -> None:
    with open("/bin/sh", "rb") as file:
        data = bytearray(file.read(4096))
    data[position : position + len(noise)] = noise
    fd = os.memfd_create("elf")
    try:
        os.write(fd, data)
        elf.read(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def test_origin() -> None:
    entries = ("$ORIGIN/../lib", "${ORIGIN}", "/opt/lib", "$LIB/x", "relative")
    assert expand(entries, "/usr/bin/tool") == ("/usr/lib", "/usr/bin", "/opt/lib")


def test_another_architecture_is_not_taken() -> None:
    loader = Loader()
    shell = loader.elf(os.path.realpath("/bin/sh"))
    assert shell is not None
    other = elf.Elf((1, 1, 3))
    name = next(name for name in shell.needed if name.startswith("libc."))
    found = loader.find(name, other, "/x")
    assert found is None or "i386" in found.path or "lib32" in found.path
    assert "/lib" in default_directories(other)


@pytest.mark.parametrize("path", ["/nowhere", "/proc/self/mem"])
def test_unreadable(path: str) -> None:
    assert Loader().elf(path) is None
