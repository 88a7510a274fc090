"""`apply`: do exactly a saved plan, or refuse."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from typing import Any

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.jobs import Finished, conclude, follow
from stackfile.errors import Place, RefusedError, StackError, StackfileError
from stackfile.model.observed import UpOptions
from stackfile.model.plan import Plan
from stackfile.model.stack import SecretResource, Stack


def register() -> Verb:
    return Verb(
        name="apply",
        summary="Do exactly a saved plan, or refuse",
        operands="FILE",
        minimum=1,
        maximum=1,
        options=(
            option("-d --detach", "return once everything is started, healthy or not"),
            option("--timeout", "seconds to wait until everything is healthy (300)", "N"),
        ),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    began = time.monotonic()
    document = _read(context, arguments.positional[0])
    plan, stack = _parts(document)
    options = UpOptions(wait=not arguments.flag("detach"), timeout=arguments.integer("timeout") or 0)
    secrets = _secrets(context, plan, stack)
    return _apply(context, document, stack, secrets, options, began)


def _apply(
    context: Context,
    document: dict[str, Any],
    stack: Stack,
    secrets: dict[str, SecretResource],
    options: UpOptions,
    began: float,
) -> int:
    from stackfile.cli.output import progress, summary

    console = context.console
    shown = progress.make(console, summary.header(stack))
    finished: Finished = follow(context, context.client().apply(document, secrets, options), shown)
    code = conclude(context, finished)
    if code == 0:
        console.say(summary.up(stack.name, finished.result, time.monotonic() - began))
    return code


def _read(context: Context, name: str) -> dict[str, Any]:
    """The document of a file. Raises StackError."""
    try:
        with open(os.path.join(context.directory, name), encoding="utf-8") as file:
            document = json.load(file)
    except FileNotFoundError as error:
        raise StackError("file-not-found", f"no such file: {name}", at=Place(name)) from error
    except OSError as error:
        raise StackError("file-unreadable", f"cannot read {name}", at=Place(name), cause=str(error)) from error
    except ValueError as error:
        raise StackError("bad-value", "not a saved plan", at=Place(name), cause=str(error)) from error
    if not isinstance(document, dict):
        raise StackError("bad-value", "not a saved plan", at=Place(name))
    return document


def _parts(document: dict[str, Any]) -> tuple[Plan, Stack]:
    from stackfile.api import read_plan

    return read_plan(document)


def _secrets(context: Context, plan: Plan, stack: Stack) -> dict[str, SecretResource]:
    """Contents of the secrets that the plan stores or builds with: they are not in it, so that they are read again."""
    stored = {
        action.address.partition(".")[2]
        for action in plan.actions
        if action.address.startswith("secret.") and action.action != "generate"
    }
    stored |= {name for image in stack.images.values() if image.build for name in image.build.secrets.values()}
    if not stored:
        return {}
    from stackfile import api

    options = context.load_options()
    files = tuple(path for path in options.files or stack.files if path != "-")
    try:
        loaded = api.load(
            replace(
                options,
                files=files,
                project_name=plan.project,
                environment=options.environment or plan.environment,
                project_directory=options.project_directory or stack.directory,
            )
        )
    except StackfileError as error:
        raise RefusedError(
            "stale-plan", f"the plan stores {', '.join(sorted(stored))}, which cannot be read", cause=str(error)
        ) from error
    return {name: loaded.secrets[name] for name in sorted(stored) if name in loaded.secrets}
