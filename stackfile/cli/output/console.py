"""The console: two text streams, whether they may be coloured, and how much is said."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import IO

_STYLES = {
    "red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "cyan": "36",
    "bold": "1", "dim": "2",
}  # fmt: skip


class Console:
    """Where output goes. `mode` is the kind of progress: tty, plain, json or quiet."""

    def __init__(
        self,
        out: IO[str],
        err: IO[str],
        environ: Mapping[str, str],
        *,
        ansi: str = "auto",
        progress: str = "auto",
        json: bool = False,
        quiet: bool = False,
    ) -> None:
        self.out = out
        self.err = err
        self.json = json or progress == "json"
        self._ansi = ansi
        self._environ = environ
        self._progress = progress
        self.mode = self._mode(progress, quiet)

    def aside(self) -> Console:
        """The same for what is said beside the command's own output: on stderr, and not as JSON."""
        return Console(
            self.err, self.err, self._environ, ansi=self._ansi,
            progress="auto" if self._progress == "json" else self._progress, quiet=self.mode == "quiet",
        )  # fmt: skip

    def coloured(self, stream: IO[str]) -> bool:
        """Whether `stream` takes ANSI colours: --ansi, then NO_COLOR (https://no-color.org), then the terminal."""
        if self._ansi != "auto":
            return self._ansi == "always"
        if self._environ.get("NO_COLOR") or self._environ.get("TERM") == "dumb":
            return False
        return is_terminal(stream)

    def paint(self, text: str, style: str, stream: IO[str] | None = None) -> str:
        """`text` in a style (red, green, …, bold, dim), for `stream` (stdout by default)."""
        if not style or not self.coloured(stream or self.out):
            return text
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"

    def width(self, stream: IO[str]) -> int:
        """Columns of the terminal behind `stream`; 0 where there is none."""
        try:
            return os.get_terminal_size(stream.fileno()).columns
        except (OSError, ValueError):
            return 0

    def height(self, stream: IO[str]) -> int:
        """Lines of the terminal behind `stream`; 0 where there is none."""
        try:
            return os.get_terminal_size(stream.fileno()).lines
        except (OSError, ValueError):
            return 0

    def print(self, text: str = "") -> None:
        """A line on stdout: what the command was asked for."""
        self.out.write(text + "\n")
        self.out.flush()

    def say(self, text: str) -> None:
        """A line on stdout for a person; not with --quiet or --json."""
        if not self.json and self.mode != "quiet":
            self.print(text)

    def note(self, text: str) -> None:
        """A line on stderr; not with --quiet."""
        if self.mode != "quiet":
            self.err.write(text + "\n")
            self.err.flush()

    def document(self, value: object) -> None:
        """One JSON document on stdout."""
        import json

        self.print(json.dumps(value, ensure_ascii=False, indent=2 if is_terminal(self.out) else None))

    def line(self, value: object) -> None:
        """One JSON document on one line, where output streams."""
        import json

        self.print(json.dumps(value, ensure_ascii=False, separators=(",", ":")))

    def _mode(self, progress: str, quiet: bool) -> str:
        if self.json:
            return "json"
        if quiet:
            return "quiet"
        if progress != "auto":
            return progress
        moves = self._ansi != "never" and self._environ.get("TERM") != "dumb" and is_terminal(self.out)
        return "tty" if moves else "plain"


def is_terminal(stream: IO[str]) -> bool:
    try:
        return stream.isatty()
    except ValueError:
        return False
