"""Runs a command in a running container: what `exec` and `container exec` have in common."""

from __future__ import annotations

from stackfile.cli import terminal
from stackfile.cli.arguments import Arguments, option
from stackfile.cli.context import Context
from stackfile.cli.detach import DETACHED, OPTION, keys_of
from stackfile.cli.session import Session
from stackfile.errors import ActionError
from stackfile.model.container import ContainerRecord, ExecSpec

OPTIONS = (
    option("-d --detach", "do not wait for its end"),
    option("-e --env", "environment variable, repeatable; NAME alone takes ours", "NAME=VALUE", repeat=True),
    option("-u --user", "user, group", "USER[:GROUP]"),
    option("-w --workdir", "working directory", "DIR"),
    option("--privileged", "with all capabilities"),
    OPTION,
)


def execute(
    context: Context, arguments: Arguments, record: ContainerRecord, command: list[str], *, tty: bool, stdin: bool
) -> int:
    """Run `command`; returns its exit code."""
    if record.state.status != "running":
        raise ActionError("not-running", f"{record.spec.name} is not running ({record.state.status})")
    keys = keys_of(context, arguments)
    client = context.client()
    detach = arguments.flag("detach")
    spec = ExecSpec(
        argv=tuple(command),
        tty=tty and not detach,
        stdin=stdin and not detach,
        stdout=not detach,
        stderr=not detach,
        environment=tuple(environment(context, arguments)),
        user=arguments.text("user"),
        working_dir=arguments.text("workdir"),
        privileged=arguments.flag("privileged"),
        console_size=terminal.size() if tty and not detach else (0, 0),
    )
    if detach:
        client.exec_detached(client.exec_create(record.id, spec))
        return 0
    with client.exec(record.id, spec) as stream:
        session = Session(
            stream,
            stdin=spec.stdin,
            resize=lambda rows, columns: client.exec_resize(stream.identity, rows, columns),
            detach_keys=keys,
        )
        if session.run():
            context.console.note("read escape sequence")
            return DETACHED
        status = stream.status()
    if not status.known:
        raise ActionError("action-failed", f"the exit code of {command[0]} is not known")
    return status.exit_code


def environment(context: Context, arguments: Arguments) -> list[str]:
    """`NAME=VALUE` of -e; NAME alone takes the caller's value, where there is one."""
    result = []
    for item in arguments.texts("env"):
        if "=" in item:
            result.append(item)
        elif item in context.environ:
            result.append(f"{item}={context.environ[item]}")
    return result
