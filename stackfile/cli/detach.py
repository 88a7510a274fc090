"""Detach keys: the sequence that leaves a process running and gives the terminal back (`ctrl-p,ctrl-q`)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from stackfile.cli.arguments import Arguments, option
from stackfile.cli.context import Context
from stackfile.errors import UsageError

DEFAULT = "ctrl-p,ctrl-q"
VARIABLE = "STACKFILE_DETACH_KEYS"
DETACHED = 1
"""Exit code of attach and exec after the keys, docker's; `run`, whose container is there now, gives 0."""
OPTION = option("--detach-keys", f"keys that detach ({DEFAULT}, or ${VARIABLE})", "KEYS")


def keys_of(context: Context, arguments: Arguments) -> bytes:
    """The option's, else the variable's, else those of docker's config.json, else the default. Raises UsageError."""
    asked = arguments.text("detach-keys")
    if asked:
        return parse_keys("--detach-keys", asked)
    if context.environ.get(VARIABLE):
        return parse_keys(VARIABLE, context.environ[VARIABLE])
    return _of_docker(context.environ) or parse_keys("", DEFAULT)


def _of_docker(environ: Mapping[str, str]) -> bytes:
    """`detachKeys` of the configuration of docker's command line; a file that is not ours is no reason to fail."""
    directory = environ.get("DOCKER_CONFIG") or f"{environ.get('HOME') or '/root'}/.docker"
    try:
        with open(f"{directory}/config.json", encoding="utf-8") as file:
            return parse_keys("detachKeys", json.load(file).get("detachKeys") or "")
    except (OSError, ValueError, AttributeError, TypeError, UsageError):
        return b""


def parse_keys(source: str, text: str) -> bytes:
    """`ctrl-p,ctrl-q` as bytes; `source` is where it was said. Raises UsageError."""
    result = bytearray()
    for part in text.split(",") if text else ():
        if part.startswith("ctrl-") and len(part) == 6 and 0x40 <= ord(part[5].upper()) <= 0x5F:
            result.append(ord(part[5].upper()) & 0x1F)
        elif len(part) == 1 and part.isascii():
            result.append(ord(part))
        else:
            raise UsageError(
                "usage", f"{source}: {part!r} is no key", hint="letters and ctrl-LETTER, parted by commas: ctrl-a,x"
            )
    return bytes(result)


class KeyMatcher:
    """Finds a sequence of keys in what is typed; keys that only begin it are held back."""

    def __init__(self, sequence: bytes) -> None:
        self._sequence = sequence
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """(what to send, whether the sequence is complete); nothing to send when everything is held back."""
        text = self._held + data
        self._held = b""
        found = text.find(self._sequence)
        if found >= 0:
            return text[:found], True
        for length in range(min(len(text), len(self._sequence) - 1), 0, -1):
            if text.endswith(self._sequence[:length]):
                self._held = text[-length:]
                return text[:-length], False
        return text, False

    def rest(self) -> bytes:
        """What is still held back, at the end of input."""
        held, self._held = self._held, b""
        return held
