"""Secrets that a command prints: run as the caller, for plan and up alone."""

from __future__ import annotations

from dataclasses import replace

from stackfile.errors import ErrorCollector, StackError
from stackfile.model.stack import SecretResource, Stack

SECONDS = 60
"""How long a command may take."""


def resolve(stack: Stack) -> Stack:
    """The stack with the output of every secret's command as its content; one newline at the end is taken off.

    Raises StackError (`secret-command`) with the place of the command, ErrorList for several.
    """
    if not any(secret.command for secret in stack.secrets.values()):
        return stack
    errors = ErrorCollector()
    secrets = dict(stack.secrets)
    for name, secret in stack.secrets.items():
        if not secret.command:
            continue
        try:
            secrets[name] = replace(secret, content=(_output(stack, secret),), command=())
        except StackError as error:
            errors.add(error)
    errors.check()
    return replace(stack, secrets=secrets)


def _output(stack: Stack, secret: SecretResource) -> str:
    import subprocess

    origin = stack.origins.get(f"secret.{secret.name}/command")
    message = f"the command of secret {secret.name} failed"
    at = origin.at if origin else None
    try:
        done = subprocess.run(
            secret.command, cwd=stack.directory or None, stdout=subprocess.PIPE, timeout=SECONDS, check=True
        )
        return done.stdout.decode().removesuffix("\n")
    except subprocess.TimeoutExpired as error:
        raise StackError("secret-command", message, at=at, cause=f"no end after {SECONDS} s") from error
    except subprocess.CalledProcessError as error:
        raise StackError("secret-command", message, at=at, cause=f"exit code {error.returncode}") from error
    except OSError as error:
        raise StackError("secret-command", message, at=at, cause=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise StackError("secret-command", message, at=at, cause="it printed no text") from error
