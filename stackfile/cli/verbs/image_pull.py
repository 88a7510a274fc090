"""`image pull`: images from their registries."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.errors import ErrorCollector, StackfileError


def register() -> Verb:
    return Verb(
        name="image pull",
        summary="Pull images from their registries",
        operands="IMAGE…",
        minimum=1,
        maximum=None,
        options=(
            option("--platform", "OS/ARCHITECTURE[/VARIANT] where the image has several", "PLATFORM"),
            option("-q --quiet", "ids only"),
        ),
        run=run,
        text="Credentials are those of `stackfile login` or `docker login`. JSON: a list of image records.",
    )


def run(context: Context, arguments: Arguments) -> int:
    from stackfile.api import to_plain
    from stackfile.cli import transfers
    from stackfile.cli.output.progress import Progress

    records, errors = [], ErrorCollector()
    quiet = arguments.flag("quiet")
    with transfers.showing(context) as shown:
        for reference in arguments.positional:
            try:
                rows = Progress(context.console) if quiet else shown
                records.append(transfers.pull(context, reference, arguments.text("platform"), rows))
            except StackfileError as error:
                errors.add(error)
    if context.console.json:
        context.console.document([to_plain(record) for record in records])
    elif quiet:
        for record in records:
            context.console.print(record.id)
    errors.check()
    return 0
