"""`init`: a small stack file to begin with."""

from __future__ import annotations

import os

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.errors import ActionError, ConflictError

STARTER = """\
# `stackfile up` starts this, `stackfile ps` and `stackfile logs` show it, `stackfile down` removes it.

values:                     # what can be set: stackfile --set greeting=Hello up
  greeting: It works

images:
  base:                     # this machine's own programs: needs no registry; `from: debian:12` pulls instead
    from: scratch
    steps:
      - host: {programs: [sh, sleep]}

services:
  hello:
    image: base
    command: [sh, -c, 'while :; do echo "$$GREETING"; sleep 5; done']   # $$ is a dollar sign
    environment:
      GREETING: "{{ values.greeting }}"
    init: true
    restart: unless-stopped
    mem_limit: 64m
"""
NAME = "stack.yaml"
TAKEN = (NAME, "stack.yml", "compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


def register() -> Verb:
    return Verb(name="init", summary=f"Write a small {NAME} to begin with; needs no engine", run=run)


def run(context: Context, arguments: Arguments) -> int:
    """Writes into --project-directory, by default the current one. Raises ConflictError where a stack file is."""
    directory = os.path.join(context.directory, context.options.text("project-directory"))
    for name in TAKEN:
        if os.path.lexists(os.path.join(directory, name)):
            raise ConflictError(
                "conflict", f"{name} is there already", hint="init overwrites nothing: use it or move it"
            )
    path = os.path.join(directory, NAME)
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(STARTER)
    except OSError as error:
        raise ActionError("action-failed", f"cannot write {path}", cause=error.strerror or str(error)) from error
    context.console.say(f"{NAME} is written: `stackfile up` starts it.")
    return 0
