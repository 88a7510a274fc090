"""The same for each thing named on the command line: all are tried, every failure is told."""

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


def for_services(context: Context, names: Sequence[str], statuses: Sequence[str], do: Callable[[str], None]) -> int:
    """Call `do` for the containers of these services (all without names) that are in one of `statuses`."""
    records = context.containers_of(context.project(), names)
    chosen = [record.spec.name for record in records if record.state.status in statuses]
    return for_each(context, chosen, do)
