"""The command line: one verb per file in `verbs`, each with register() and run(); output, progress, exit codes.

What belongs here: arguments, terminals, what a person reads. What does not: files of a stack and engines, which are
reached through `stackfile.api` alone. Nothing heavy is imported before the verb that needs it.
"""

from __future__ import annotations

from stackfile.cli.main import main

__all__ = ["main"]
