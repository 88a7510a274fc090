"""Compiled Python for the standard library of an image, or a container's `python3` would take seconds to start: users
other than root cannot write `__pycache__`, and root would do it anew in every container.

The files are made from the sources alone, so that the same sources give the same image: "unchecked hash" pycs
(PEP 552), marshalled without references (whose presence depends on what else the process holds). This machine's own
`.pyc` files only save the work of compiling.
"""

from __future__ import annotations

import importlib.util
import marshal
import os
import sys
import warnings
from types import CodeType

_HEADER = 16
_UNCHECKED_HASH = 1
_WITHOUT_REFERENCES = 2


def can_compile(tag: str) -> bool:
    """Whether this process is an interpreter of the same version as the image's."""
    return sys.implementation.cache_tag == tag


def cached_path(source: str) -> str:
    """Where the interpreter looks for the compiled form of a source file."""
    return importlib.util.cache_from_source(source, optimization="")


def compile_source(path: str) -> bytes | None:
    """The pyc of a source file; None where the source does not compile (templates, deliberate errors)."""
    with open(path, "rb") as file:
        source = file.read()
    code = _from_cache(path) or _compile(source, path)
    if code is None:
        return None
    try:
        body = marshal.dumps(code, _WITHOUT_REFERENCES)
    except ValueError:
        return None  # holds a constant that this old format does not know
    flags = _UNCHECKED_HASH.to_bytes(4, "little")
    return importlib.util.MAGIC_NUMBER + flags + importlib.util.source_hash(source) + body


def _compile(source: bytes, path: str) -> CodeType | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return compile(source, path, "exec", dont_inherit=True, optimize=0)
        except (SyntaxError, ValueError):
            return None


def _from_cache(path: str) -> CodeType | None:
    """This machine's compiled form, when it is valid by the source's time and size (as the import system checks)."""
    status = os.stat(path)
    stamp = (int(status.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little")
    try:
        with open(cached_path(path), "rb") as file:
            data = file.read()
    except OSError:
        return None
    expected = importlib.util.MAGIC_NUMBER + bytes(4) + stamp + (status.st_size & 0xFFFFFFFF).to_bytes(4, "little")
    if data[:_HEADER] != expected:
        return None
    try:
        code = marshal.loads(data[_HEADER:])
    except (ValueError, EOFError, TypeError):
        return None
    return code if isinstance(code, CodeType) and code.co_filename == path else None
