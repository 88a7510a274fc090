"""Consoles that write into strings."""

from __future__ import annotations

import io
from collections.abc import Mapping

from stackfile.cli.output.console import Console


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def console(*, terminal: bool = False, environ: Mapping[str, str] | None = None, **options: object) -> Console:
    out, err = (Terminal(), Terminal()) if terminal else (io.StringIO(), io.StringIO())
    return Console(out, err, environ or {}, **options)  # type: ignore[arg-type]


def text(of: Console) -> str:
    assert isinstance(of.out, io.StringIO)
    return of.out.getvalue()
