"""What code brings into memory, in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys


def imported(code: str) -> set[str]:
    """Names of all modules that are there after `code`."""
    shown = subprocess.run(
        [sys.executable, "-I", "-c", f"{code}\nimport sys\nprint()\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(shown.stdout.split("\n")[-2].split())
