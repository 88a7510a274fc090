"""`cp`: copy files from and to a service's container."""

from __future__ import annotations

from stackfile.cli import copying
from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.output.containers import number_of
from stackfile.errors import NotFoundError, UsageError

OPTIONS = (
    option("-a --archive", "keep owners; into a container: give all to its user"),
    option("-L --follow-link", "follow a link that is the source"),
)


def register() -> Verb:
    return Verb(
        name="cp",
        summary="Copy files between a service's container and the caller; a path `-` is a tar on stdin or stdout",
        operands="SERVICE:PATH PATH | PATH SERVICE:PATH",
        minimum=2,
        maximum=2,
        options=(option("--index", "replica (the first)", "N"), *OPTIONS),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    index = arguments.integer("index")

    def container(service: str) -> str:
        records = context.containers_of(context.project(), [service])
        chosen = [record for record in records if index is None or number_of(record) == index]
        if not chosen:
            raise NotFoundError("container", f"of service {service}" + (f" with index {index}" if index else ""))
        return chosen[0].id

    return copy(context, arguments, container)


def copy(context: Context, arguments: Arguments, container: object) -> int:
    """`container` makes an id of what stands before the colon. Raises UsageError unless exactly one side has one."""
    assert callable(container)
    source, target = arguments.positional
    there, path = copying.split(source)
    here, destination = copying.split(target)
    options = {"follow": arguments.flag("follow-link"), "archive": arguments.flag("archive")}
    if bool(there) == bool(here):
        raise UsageError("usage", "one of the two paths must be in a container: NAME:PATH")
    if there:
        copying.copy_out(context, container(there), path, target, **options)
    else:
        copying.copy_in(context, source, container(here), destination, **options)
    return 0
