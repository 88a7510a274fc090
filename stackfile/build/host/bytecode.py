"""Compiled Python for the standard library of an image, or a container's `python3` would take seconds to start: users
other than root cannot write `__pycache__`, and root would do it anew in every container.

The files are made from the sources alone, so that the same sources give the same image: "unchecked hash" pycs
(PEP 552), marshalled without references (whose presence depends on what else the process holds). This machine's own
`.pyc` files only save the work of compiling.

Only an interpreter of the same version can do it; so this file also runs alone (`python -I -S -B bytecode.py`), by the
interpreter that goes into the image, and imports nothing but the standard library.
"""

from __future__ import annotations

import importlib.util
import marshal
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from types import CodeType

_HEADER = 16
_UNCHECKED_HASH = 1
_WITHOUT_REFERENCES = 2
_SLOWEST = 120
"""Seconds."""


def compile_all(sources: Sequence[str], tag: str, interpreter: str) -> dict[str, bytes]:
    """The pycs of source files (those that compile) for the interpreter with cache tag `tag`, at path `interpreter`.

    Empty where that is another version than this process's and cannot be run: the image works without, only slower.
    """
    if sys.implementation.cache_tag == tag:
        made = ((source, compile_source(source)) for source in sources)
        return {source: data for source, data in made if data is not None}
    if not interpreter:
        return {}
    done = subprocess.run(
        [interpreter, "-I", "-S", "-B", __file__],
        input=b"\0".join(os.fsencode(source) for source in sources),
        capture_output=True,
        check=False,
        timeout=_SLOWEST,
    )
    return dict(_parse(sources, done.stdout)) if done.returncode == 0 else {}


def cached_path(source: str, tag: str = "") -> str:
    """Where an interpreter (this one by default) looks for the compiled form of a source file."""
    directory, name = os.path.split(source)
    return f"{directory}/__pycache__/{name.removesuffix('.py')}.{tag or sys.implementation.cache_tag}.pyc"


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


def _parse(sources: Sequence[str], answer: bytes) -> Iterator[tuple[str, bytes]]:
    """For each source a length (4 bytes, 0 for none) and that many bytes."""
    offset = 0
    for source in sources:
        length = int.from_bytes(answer[offset : offset + 4], "little")
        if length:
            yield source, answer[offset + 4 : offset + 4 + length]
        offset += 4 + length


def _main() -> None:
    for source in sys.stdin.buffer.read().split(b"\0"):
        data = compile_source(os.fsdecode(source)) or b""
        sys.stdout.buffer.write(len(data).to_bytes(4, "little") + data)


if __name__ == "__main__":
    _main()
