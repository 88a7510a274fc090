"""`run`: a one-off command in a new container of a service."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from stackfile.cli import detach, progress_aside
from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.execute import environment
from stackfile.cli.mounts import parse_volume
from stackfile.cli.oneoff import attached, start
from stackfile.cli.ports import parse_port
from stackfile.cli.session import wants_tty
from stackfile.model import labels
from stackfile.model.container import ContainerSpec
from stackfile.model.observed import UpOptions
from stackfile.model.stack import RestartPolicy, Stack

if TYPE_CHECKING:
    from stackfile.api import Client


def register() -> Verb:
    return Verb(
        name="run",
        summary="Run a one-off command in a new container of a service; what the service needs is brought up first",
        operands="SERVICE [COMMAND [ARG…]]",
        minimum=1,
        maximum=None,
        trailing=True,
        runs_command=True,
        options=(
            option("-d --detach", "print the container's name and return"),
            option("--rm", "remove the container when it ends"),
            option("--name", "name of the container", "NAME"),
            option("-e --env", "environment variable; NAME alone takes ours", "NAME=VALUE", repeat=True),
            option("-l --label", "label", "NAME=VALUE", repeat=True),
            option("-u --user", "user, group", "USER[:GROUP]"),
            option("-w --workdir", "working directory", "DIR"),
            option("-v --volume", "bind a directory or a volume", "SOURCE:TARGET[:OPTIONS]", repeat=True),
            option("-p --publish", "publish a port", "[IP:][PORT:]PORT[/PROTOCOL]", repeat=True),
            option("-P --service-ports", "publish the service's ports"),
            option("--use-aliases", "with the service's names in its networks"),
            option("--entrypoint", "instead of the service's", "COMMAND"),
            option("--cap-add", "capability to add", "CAP", repeat=True),
            option("--cap-drop", "capability to drop", "CAP", repeat=True),
            option("--no-deps", "without the services that it depends on"),
            option("--build", "build images that are not up to date (the default)"),
            option("--no-build", "use images as they are", negates="build"),
            option("-T --no-tty", "no TTY (by default one where stdin and stdout are terminals)", also="--no-TTY"),
            option("-t --tty", "a TTY"),
            option("-i --interactive", "keep stdin open (the default)"),
            option("--no-interactive", "leave stdin alone", negates="interactive"),
            detach.OPTION,
        ),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    service = arguments.positional[0]
    stack = context.stack((service,))
    detached = arguments.flag("detach")
    tty = wants_tty(arguments.flag("tty"), arguments.flag("no-tty") or detached, True)
    keys = detach.keys_of(context, arguments)
    client = context.client()
    _prepare(context, arguments, client, stack, service)
    spec = _one_off(context, arguments, client.spec(stack, service), stack, tty=tty)
    if detached:
        start(client, client.create(spec), spec)
        context.console.print(spec.name)
        return 0
    return attached(client, spec, keys)


def _prepare(context: Context, arguments: Arguments, client: Client, stack: Stack, service: str) -> None:
    """Images, networks, volumes, contents, and the services it depends on; its own containers are left alone."""
    options = UpOptions(
        services=(service,),
        no_deps=arguments.flag("no-deps"),
        build=arguments.flag("build", True),
        hold=(service,),
        parallel=context.parallel,
    )
    progress_aside.follow(context, client.up(stack, options))


def _one_off(context: Context, arguments: Arguments, spec: ContainerSpec, stack: Stack, *, tty: bool) -> ContainerSpec:
    """The service's container as a one-off: named and labelled as Compose does, without ports and restarts."""
    service = arguments.positional[0]
    detached = arguments.flag("detach")
    stdin = arguments.flag("interactive", True) and not detached
    given = dict(item.partition("=")[::2] for item in environment(context, arguments))
    published = tuple(port for text in arguments.texts("publish") for port in parse_port(text))
    name = arguments.text("name") or f"{stack.name}-{service}-run-{secrets.token_hex(6)}"
    marks = {labels.ONEOFF: "True", labels.NUMBER: "1", **arguments.pairs("label")}
    entrypoint = arguments.text("entrypoint")
    command = tuple(arguments.positional[1:])
    return replace(
        spec,
        name=name,
        entrypoint=((entrypoint,) if entrypoint else ()) if arguments.given("entrypoint") else spec.entrypoint,
        command=command or (None if arguments.given("entrypoint") else spec.command),
        environment={**spec.environment, **given},
        user=arguments.text("user", spec.user),
        working_dir=arguments.text("workdir", spec.working_dir),
        mounts=(*spec.mounts, *(parse_volume(text, context.directory) for text in arguments.texts("volume"))),
        ports=(*(spec.ports if arguments.flag("service-ports") else ()), *published),
        networks=tuple(
            replace(item, ipv4="", ipv6="", mac="", aliases=item.aliases if arguments.flag("use-aliases") else ())
            for item in spec.networks
        ),
        labels={**spec.labels, **marks},
        cap_add=(*spec.cap_add, *arguments.texts("cap-add")),
        cap_drop=(*spec.cap_drop, *arguments.texts("cap-drop")),
        restart=RestartPolicy(),
        depends_on={},
        tty=tty,
        stdin_open=stdin,
        stdin_once=stdin,
        attach_output=not detached,
        auto_remove=arguments.flag("rm"),
    )
