"""What a daemon loads when it serves already, so that the first command does not wait for it.

Nothing is left to be loaded on first use: after an upgrade on disk that would be another version's code.
"""

from __future__ import annotations

import asyncio
import codecs
import gc
from importlib import import_module

_MODULES = ("stackfile.registry.repository", "stackfile.registry.session", "stackfile.registry.resolve")
"""requests comes with them, 0.14 s: for pulls alone."""
_CODECS = ("idna", "utf-16-be", "unicode_escape")
_LULL = 3.0
"""Seconds for the command that has started us."""


async def load() -> None:
    """Load all of it, in a thread: the loop has its turn every few milliseconds."""
    await asyncio.sleep(_LULL)
    await asyncio.to_thread(_load)


def _load() -> None:
    for name in _MODULES:
        import_module(name)
    for name in _CODECS:
        codecs.lookup(name)
    settle()


def settle() -> None:
    """What is loaded stays: the collector need not look through it, which would hold up the loop for 40 ms."""
    gc.freeze()
