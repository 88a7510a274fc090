"""`system doctor`: whether this machine has what the engine needs."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context

_MARKS = {"ok": ("✔", "green"), "warning": ("!", "yellow"), "missing": ("✘", "red")}


def register() -> Verb:
    return Verb(
        name="system doctor",
        summary="What the engine needs of this machine, and what was found; exit 1 when something is missing",
        run=run,
        text="JSON: a list of {check, status, found, mend}; status: ok, warning, missing.",
    )


def run(context: Context, arguments: Arguments) -> int:
    findings = context.client().doctor()
    console = context.console
    if console.json:
        console.document(
            [{"check": item.check, "status": item.status, "found": item.found, "mend": item.mend} for item in findings]
        )
    else:
        width = max((len(item.check) for item in findings), default=0)
        for item in findings:
            mark, style = _MARKS.get(item.status, ("?", ""))
            console.print(f" {console.paint(mark, style)} {item.check:<{width}}  {item.found}".rstrip())
            if item.mend and item.status != "ok":
                console.print(f"   {'':<{width}}  {item.mend}")
    return 1 if any(item.status == "missing" for item in findings) else 0
