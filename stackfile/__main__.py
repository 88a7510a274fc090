"""`python -m stackfile`: where argv arrives."""

from __future__ import annotations

import os
import sys

from stackfile.cli import main


def open_closed() -> None:
    """What is closed of stdin, stdout and stderr (`>&-`) becomes /dev/null: no other file may take its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115


open_closed()
sys.exit(main(sys.argv[1:]))
