"""`system doctor`: whether this machine has what the engine needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.errors import EngineError

if TYPE_CHECKING:
    from stackfile.api.replies import Finding

_MARKS = {"ok": ("✔", "green"), "warning": ("!", "yellow"), "missing": ("✘", "red")}


def register() -> Verb:
    return Verb(
        name="system doctor",
        summary="What the engine needs of this machine, and what was found; exit 1 when something is missing",
        run=run,
        text="JSON: a list of {check, status, found, mend}; status: ok, warning, missing. Starts no daemon.",
    )


def run(context: Context, arguments: Arguments) -> int:
    findings = _findings(context)
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


def _findings(context: Context) -> list[Finding]:
    """Of the engine that runs, with its other processes; where none can be asked, of the machine."""
    from stackfile.api.examine import examine
    from stackfile.api.replies import Finding

    try:
        return context.client(start=False).doctor()
    except EngineError as error:
        if context.options.text("host") or context.environ.get("STACKFILE_HOST"):
            raise
        silent = error.reason == "engine-unreachable"
        found = "does not run; the next command starts it" if silent else str(error)
        daemon = Finding(check="daemon", status="ok" if silent else "warning", found=found, mend=error.hint)
        return [*examine(context.environ), daemon]
