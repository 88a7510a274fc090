"""`system fsck`: what database, files and kernel disagree about."""

from __future__ import annotations

from typing import Any

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.jobs import conclude, follow
from stackfile.cli.output import progress
from stackfile.cli.output.addresses import count
from stackfile.errors import REASONS


def register() -> Verb:
    return Verb(
        name="system fsck",
        summary="What the engine's database, its files and the kernel disagree about; exit 6 when they do",
        options=(
            option("--repair", "mend it; without it nothing is changed"),
            option("--quick", "compare no contents of databases, blobs, layers, configs and secrets"),
        ),
        run=run,
        text=(
            "JSON: a list of {reason, subject, found, mend, mended, failed}. Containers and other commands may run "
            "meanwhile. What a killed engine left half done its next start mends by itself."
        ),
    )


def run(context: Context, arguments: Arguments) -> int:
    repair = arguments.flag("repair")
    console = context.console
    aside = console.aside()
    shown = progress.make(aside, transient=True) if aside.mode == "tty" else progress.Progress(aside)
    events = context.client().fsck(repair=repair, quick=arguments.flag("quick"))
    finished = follow(context, events, shown)
    if code := conclude(context, finished):
        return code
    faults = finished.result["faults"]
    if console.json:
        console.document(faults)
    else:
        _print(context, faults, repair)
    return REASONS["differences"].exit if any(not fault["mended"] for fault in faults) else 0


def _print(context: Context, faults: list[dict[str, Any]], repair: bool) -> None:
    console = context.console
    width = max((len(fault["reason"]) for fault in faults), default=0)
    for fault in faults:
        mark, style = ("✔", "green") if fault["mended"] else ("✘", "red")
        line = f"{fault['reason']:<{width}}  {fault['subject']}: {fault['found']}"
        console.print(f" {console.paint(mark, style)} {line}")
        if not fault["mended"]:
            console.print(f"   {'':<{width}}  {fault['failed'] or fault['mend']}")
    left = [fault for fault in faults if not fault["mended"]]
    if not faults:
        console.print("Nothing disagrees.")
    elif not left:
        console.print(f"{count(len(faults), 'fault')}, all mended.")
    elif repair:
        console.print(f"{count(len(left), 'fault')} of {len(faults)} could not be mended.")
    else:
        console.print(f"{count(len(left), 'fault')}. `stackfile system fsck --repair` does what stands below each.")
