"""`lint`: what deserves a second look in a stack file that is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackfile.cli.arguments import Arguments, Verb, nearest, option
from stackfile.cli.context import Context
from stackfile.cli.output import sarif
from stackfile.errors import REASONS, UsageError

if TYPE_CHECKING:
    from stackfile.api import Rule


def register() -> Verb:
    return Verb(
        name="lint",
        summary="What deserves a second look in the stack file; needs no engine",
        options=(
            option("--format", "text, json or sarif", "FORMAT", choices=("text", "json", "sarif")),
            option("--ignore", "leave a rule out", "RULE", repeat=True),
            option("--rules", "list the rules"),
        ),
        run=run,
        text="A comment `# stackfile: ignore RULE` silences a rule on its line. With findings the exit code is 6.",
    )


def run(context: Context, arguments: Arguments) -> int:
    from stackfile import api

    form = arguments.text("format", "json" if context.console.json else "text")
    rules = {rule.id: rule for rule in api.lint_rules()}
    for name in arguments.texts("ignore"):
        if name not in rules:
            raise UsageError("usage", f"no such rule: {name}", hint=nearest(name, rules))
    if arguments.flag("rules"):
        _list(context, list(rules.values()), form)
        return 0
    findings = api.lint(context.load_options(), ignored=frozenset(arguments.texts("ignore")))
    if form == "sarif":
        results = [sarif.Result(_described(each.rule), each.message, each.at) for each in findings]
        context.console.document(sarif.document(results, [_described(rule) for rule in rules.values()]))
    elif form == "json":
        plain = [
            {
                "rule": each.rule.id, "severity": each.rule.severity, "message": each.message, "fix": each.rule.fix,
                "at": {"file": each.at.file, "line": each.at.line, "column": each.at.column},
            }
            for each in findings
        ]  # fmt: skip
        context.console.document({"findings": plain})
    else:
        for each in findings:
            context.console.print(f"{each.at}: {each.rule.severity}: {each.message} [{each.rule.id}]")
    return REASONS["differences"].exit if findings else 0


def _described(rule: Rule) -> sarif.Rule:
    return sarif.Rule(rule.id, rule.id, rule.severity, rule.why, rule.fix)


def _list(context: Context, rules: list[Rule], form: str) -> None:
    if form == "sarif":
        context.console.document(sarif.document((), [_described(rule) for rule in rules]))
    elif form == "json":
        fields = ("id", "severity", "why", "fix")
        context.console.document({"rules": [{name: getattr(rule, name) for name in fields} for rule in rules]})
    else:
        for rule in rules:
            context.console.print(f"{rule.id} ({rule.severity}): {rule.why}; {rule.fix}")
