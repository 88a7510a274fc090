"""`plan`: what up would do, and why."""

from __future__ import annotations

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
        options=(option("--exit-code", "exit 6 when there is something to do"), *up.PLANNED),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    stack, options = up.planned(context, arguments)
    plan = context.client().plan(stack, options)
    show(context, plan, stack)
    return DIFFERENCES if arguments.flag("exit-code") and plan.summary.changes else 0


def show(context: Context, plan: Plan, stack: Stack) -> None:
    """The plan as text, with --json as the document `stackfile.plan/v1`."""
    console = context.console
    if console.json:
        from stackfile.api import to_plain

        console.document(to_plain(plan))
        return
    from stackfile.cli.output import plan as plans

    console.print(plans.render(plan, console, stack))
