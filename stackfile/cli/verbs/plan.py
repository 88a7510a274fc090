"""`plan`: what up would do, and why."""

from __future__ import annotations

import json
import os

from stackfile.cli import files
from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.verbs import up
from stackfile.model.plan import Plan
from stackfile.model.stack import Stack

DIFFERENCES = 6


def register() -> Verb:
    return Verb(
        name="plan",
        summary="Show what up would do, and why; change nothing",
        operands="[SERVICE…]",
        maximum=None,
        options=(
            option("--exit-code", "exit 6 when there is something to do"),
            option("-o --output", "save the plan for `stackfile apply FILE`", "FILE", also="--out"),
            *up.PLANNED,
        ),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    path = arguments.text("output")
    plan, stack = _saved(context, arguments, path) if path else _plan(context, arguments)
    show(context, plan, stack)
    if path and not context.console.json:
        context.console.say(f"Saved as {path}: `stackfile apply {path}` does exactly this.")
    return DIFFERENCES if arguments.flag("exit-code") and plan.summary.changes else 0


def show(context: Context, plan: Plan, stack: Stack) -> None:
    """The plan as text, with --json as the document `stackfile.plan/v1`."""
    console = context.console
    if console.json:
        from stackfile.api import to_document

        console.document(to_document(plan))
        return
    from stackfile.cli.output import plan as plans

    console.print(plans.render(plan, console, stack))


def _plan(context: Context, arguments: Arguments) -> tuple[Plan, Stack]:
    stack, options = up.planned(context, arguments)
    return context.client().plan(stack, options), stack


def _saved(context: Context, arguments: Arguments, path: str) -> tuple[Plan, Stack]:
    from stackfile.api import RecordingReader, from_document

    reader = RecordingReader()
    stack, options = up.planned(context, arguments, reader)
    document = context.client().plan_to_save(stack, options, reader.contents)
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    files.write(os.path.join(context.directory, path), path, text)
    return from_document(document), stack
