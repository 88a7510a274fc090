"""The options that every verb understands."""

from __future__ import annotations

from stackfile.cli.arguments import Option, option

PROGRESS = ("auto", "tty", "plain", "json", "quiet")
ANSI = ("auto", "always", "never")

GLOBAL: tuple[Option, ...] = (
    option("-f --file", 'stack or Compose file, repeatable ("-" is stdin)', "FILE", repeat=True),
    option("-p --project-name", "project name", "NAME"),
    option("-E --environment", "environment of the stack file", "NAME"),
    option("--values", "YAML or JSON with values, repeatable", "FILE", repeat=True),
    option("--set", "one value, repeatable", "PATH=VALUE", repeat=True),
    option("--set-string", "one value as text, repeatable", "PATH=VALUE", repeat=True),
    option("--set-file", "one value from a file, repeatable", "PATH=FILE", repeat=True),
    option("--set-json", "one value as JSON, repeatable", "PATH=JSON", repeat=True),
    option("--env-file", "file for ${…} interpolation, repeatable", "FILE", repeat=True),
    option("--profile", 'enable a profile, repeatable ("*" for all)', "NAME", repeat=True),
    option("--project-directory", "where relative paths start", "DIR"),
    option("--engine", "embedded", "KIND", choices=("embedded",)),
    option("-H --host", "daemon socket (STACKFILE_HOST)", "URL"),
    option("--parallel", "at most N actions at once", "N"),
    option("--progress", "how progress is shown", "|".join(PROGRESS), choices=PROGRESS),
    option("--ansi", "colours and cursor movement", "|".join(ANSI), choices=ANSI),
    option("--no-color", "the same as --ansi never"),
    option("--json", "one JSON document on stdout; a line each where output streams"),
    option("--quiet", "errors only"),
    option("--debug", "with causes and traceback"),
    option("-h --help", "this help"),
    option("-V --version", "version of stackfile"),
)


def merge_global(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, list[str]]:
    """Values of the global options given before and after the verb: repeatable ones add up, the last one wins else."""
    repeat = {item.name for item in GLOBAL if item.repeat}
    merged = dict(before)
    for name, values in after.items():
        merged[name] = merged.get(name, []) + values if name in repeat else values
    return merged
