"""The same for each container named on the command line: all are tried, every failure is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stackfile.cli.context import Context
from stackfile.errors import ErrorCollector, StackfileError


def for_each(context: Context, references: Sequence[str], do: Callable[[str], None]) -> int:
    """Call `do` for each and print its name, as docker does. Raises what failed, once all were tried."""
    errors = ErrorCollector()
    for reference in references:
        try:
            do(reference)
        except StackfileError as error:
            errors.add(error)
        else:
            context.console.say(reference)
    errors.check()
    return 0
