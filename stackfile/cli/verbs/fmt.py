"""`fmt`: stack files in canonical layout."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.output.addresses import count
from stackfile.errors import REASONS, UsageError

if TYPE_CHECKING:
    from stackfile.api import Formatted


def register() -> Verb:
    return Verb(
        name="fmt",
        summary="Lay out stack and Compose files in the canonical way; needs no engine",
        operands="[FILE…]",
        maximum=None,
        options=(
            option("--check", "write nothing; list the files that would change, exit code 6 if any"),
            option("--diff", "write nothing; show what would change"),
        ),
        run=run,
        text="Without FILE: those of the stack. `-` is stdin, laid out on stdout. Two columns a level, lists in\n"
        "their key too; one blank after `:`, `-` and `,`, none inside brackets; one empty line at most; no blanks at\n"
        "the end of a line. Words, quotes, comments, their order and the breaks of lines stay. Nothing is written\n"
        "unless all files are YAML, and each means the same as before and has the same comments.",
    )


def run(context: Context, arguments: Arguments) -> int:
    from stackfile import api

    names = arguments.positional
    if "-" in names and len(names) > 1:
        raise UsageError("usage", "`-` stands alone: there is one stdout")
    found = api.formatted_files(context.load_options(), names)
    changed = [item for item in found if item.changed]
    check, diff = arguments.flag("check"), arguments.flag("diff")
    if not check and not diff:
        if found[0].path == "-":
            sys.stdout.flush()
            sys.stdout.buffer.write(found[0].after)
            sys.stdout.buffer.flush()
            return 0
        for item in changed:
            api.write_formatted(item)
    _report(context, found, changed, check, diff)
    return REASONS["differences"].exit if check and changed else 0


def _report(
    context: Context, found: Sequence[Formatted], changed: Sequence[Formatted], check: bool, diff: bool
) -> None:
    if context.console.json:
        plain = [{"file": item.file, "changed": item.changed} for item in found]
        context.console.document({"files": plain})
    elif diff:
        for item in changed:
            context.console.print(_difference(item))
    elif check:
        for item in changed:
            context.console.print(item.file)
    else:
        for item in changed:
            context.console.say(item.file)
        if not changed:
            context.console.say(f"Nothing to change in {count(len(found), 'file')}.")


def _difference(item: Formatted) -> str:
    """As a patch has it."""
    before, after = (item.text(data).split("\n") for data in (item.before, item.after))
    for lines in (before, after):
        last = lines.pop()
        lines += [f"{last}\n\\ No newline at end of file"] if last else []
    return "\n".join(difflib.unified_diff(before, after, item.file, f"{item.file} (formatted)", lineterm=""))
