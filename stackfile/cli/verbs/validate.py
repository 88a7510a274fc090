"""`validate`: load the stack file and say whether it is right."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.cli.output import plan as plans
from stackfile.cli.output.addresses import count


def register() -> Verb:
    return Verb(name="validate", summary="Check the stack file; needs no engine", run=run)


def run(context: Context, arguments: Arguments) -> int:
    stack = context.stack()
    context.tell_ignored(stack)
    resources, containers = plans.sizes(stack)
    if context.console.json:
        context.console.document({"valid": True, "name": stack.name, "environment": stack.environment})
    else:
        context.console.say(f"{stack.name} is valid: {count(resources, 'resource')}, {count(containers, 'container')}.")
    return 0
