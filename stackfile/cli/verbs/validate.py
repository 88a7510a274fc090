"""`validate`: load the stack file and say whether it is right."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.output import errors
from stackfile.cli.output import plan as plans
from stackfile.cli.output.addresses import count
from stackfile.errors import ErrorList, StackError


def register() -> Verb:
    return Verb(
        name="validate",
        summary="Check the stack file; needs no engine",
        options=(option("--format", "text, json or sarif", "FORMAT", choices=("text", "json", "sarif")),),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    """With --format json and sarif, what is wrong is the answer: it goes to stdout, all of it."""
    form = arguments.text("format", "json" if context.console.json else "text")
    try:
        stack = context.stack()
    except (StackError, ErrorList) as error:
        if not arguments.given("format") or form == "text":
            raise
        _refused(context, form, error)
        return error.exit_code
    context.tell_ignored(stack)
    resources, containers = plans.sizes(stack)
    if form == "sarif":
        from stackfile.cli.output import sarif

        context.console.document(sarif.document(()))
    elif form == "json":
        context.console.document({"valid": True, "name": stack.name, "environment": stack.environment})
    else:
        context.console.say(f"{stack.name} is valid: {count(resources, 'resource')}, {count(containers, 'container')}.")
    return 0


def _refused(context: Context, form: str, error: StackError | ErrorList) -> None:
    if form == "sarif":
        from stackfile.cli.output import sarif

        context.console.document(sarif.document(sarif.of_error(error)))
    else:
        context.console.document({"valid": False, **errors.to_plain(error)})
