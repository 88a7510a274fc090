"""Files that a command writes for its caller."""

from __future__ import annotations

import os

from stackfile.errors import ActionError


def write(path: str, shown: str, text: str, mode: int = 0o600) -> None:
    """Whole or not at all; for the caller alone, because environments may hold passwords, unless `mode` says otherwise.

    Raises ActionError, which names it as `shown`.
    """
    part = f"{path}.part"
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(part, path)
    except OSError as error:
        raise ActionError("action-failed", f"cannot write {shown}", cause=error.strerror or str(error)) from error
