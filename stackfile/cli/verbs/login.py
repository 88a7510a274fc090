"""`login`: credentials for a registry."""

from __future__ import annotations

import sys

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.errors import UsageError


def register() -> Verb:
    return Verb(
        name="login",
        summary="Check credentials for a registry and keep them where docker does",
        operands="[REGISTRY]",
        maximum=1,
        options=(
            option("-u --username", "name", "NAME"),
            option("-p --password", "password (others may read it in the list of processes)", "TEXT"),
            option("--password-stdin", "read the password from stdin"),
        ),
        run=run,
        text="Kept in ~/.docker/config.json or its credential helper; sent with a pull, kept by no daemon.",
    )


def run(context: Context, arguments: Arguments) -> int:
    from stackfile.api.credentials import Credentials
    from stackfile.model.image import RegistryAuth

    host = next(iter(arguments.positional), "docker.io")
    name = arguments.text("username")
    if not name:
        raise UsageError("usage", "login needs --username")
    auth = RegistryAuth(username=name, password=_password(arguments))
    context.client().check_registry(host, auth)
    credentials = Credentials(context.environ)
    credentials.put(host, auth)
    context.console.say(f"Logged in to {host} as {name}; kept in {credentials.path}")
    return 0


def _password(arguments: Arguments) -> str:
    if arguments.given("password"):
        return arguments.text("password")
    if arguments.flag("password-stdin"):
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise UsageError("usage", "no password", hint="--password-stdin reads it from stdin")
    import getpass

    return getpass.getpass("Password: ", stream=sys.stderr)
