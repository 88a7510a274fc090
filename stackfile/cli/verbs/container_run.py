"""`container run`: a container of any image, docker run's options and exit codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.cli.detach import keys_of
from stackfile.cli.oneoff import attached, start
from stackfile.cli.run_options import OPTIONS, spec_of
from stackfile.cli.session import wants_tty
from stackfile.errors import StackfileError
from stackfile.model.container import ContainerSpec

T = TypeVar("T")


def register() -> Verb:
    return Verb(
        name="container run",
        summary="Run a command in a new container of an image",
        operands="IMAGE [COMMAND [ARG…]]",
        minimum=1,
        maximum=None,
        trailing=True,
        runs_command=True,
        options=OPTIONS,
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    spec = spec_of(arguments, context.environ, context.directory)
    if spec.tty and spec.stdin_open and not arguments.flag("detach"):
        wants_tty(True, False, False)
    keys = keys_of(context, arguments)
    client = context.client()
    if arguments.flag("detach"):
        identity = _with_image(context, spec, lambda: client.create(spec))
        start(client, identity, spec)
        context.console.print(identity)
        return 0
    proxy = arguments.flag("sig-proxy", True)
    return _with_image(context, spec, lambda: attached(client, spec, keys, proxy=proxy))


def _with_image(context: Context, spec: ContainerSpec, make: Callable[[], T]) -> T:
    """Make the container; an image that is not here is pulled first."""
    try:
        return make()
    except StackfileError as error:
        if error.reason != "image-not-found":
            raise
    from stackfile.cli import transfers
    from stackfile.cli.output.progress import Progress

    context.console.note(f"Image {spec.image} is not here: pulling it")
    transfers.pull(context, spec.image, spec.platform, Progress(context.console))
    return make()
