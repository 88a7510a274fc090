"""`lock`: the digests of all images that the stack takes from registries, in stack.lock."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from stackfile.cli import files
from stackfile.cli.arguments import Arguments, Verb, nearest, option
from stackfile.cli.context import Context
from stackfile.cli.output.addresses import count
from stackfile.errors import REASONS, Place, UsageError

if TYPE_CHECKING:
    from stackfile.api.locks import LockFile
    from stackfile.api.relock import LockChange
    from stackfile.model.lock import Lock

_MARKS = {"add": ("+", "green"), "update": ("~", "yellow"), "remove": ("-", "red")}
_MODE = 0o666
"""Of the file, less the umask: it is committed, and holds nothing private."""
_DONE = {"add": "added", "update": "updated", "remove": "removed"}


def register() -> Verb:
    return Verb(
        name="lock",
        summary="Write the digest of every image that the stack takes from a registry to stack.lock",
        operands="[REFERENCE…]",
        maximum=None,
        options=(
            option("--update", "ask the registries again for what is locked: all, or these references"),
            option("--check", "write nothing; exit 6 where the file would change"),
            option("--offline", "ask no registry: the digests under which images were pulled before"),
        ),
        run=run,
        text=(
            "Counted are `image:` of services, `from:` of images and the FROM of Dockerfiles, in every environment\n"
            "and profile; with -E in that environment alone, and nothing is forgotten then. What is locked stays as\n"
            "it is without --update. `up`, `plan`, `build` and `pull` follow the file with --locked alone.\n"
            "JSON: {file, images: {REFERENCE: {digest, platforms}}, changes: [{reference, change, before, after}]}."
        ),
    )


def run(context: Context, arguments: Arguments) -> int:
    from stackfile.api import relock
    from stackfile.model.lock import Lock

    update, check = arguments.flag("update"), arguments.flag("check")
    if arguments.positional and not update:
        raise UsageError("usage", "references are named with --update", hint="without it, what is missing is added")
    wanted, file, complete = _wanted(context)
    found = file.read()
    before = found or Lock()
    chosen = _chosen(arguments.positional, wanted) if update else ()
    asked = sorted(reference for reference in wanted if reference not in before.images or reference in chosen)
    images = {name: image for name, image in before.images.items() if name in wanted or not complete}
    if asked and not (check and not update):
        resolver = relock.Resolver(context.client(), context.environ, context.warn, arguments.flag("offline"))
        images |= resolver.resolve({reference: wanted[reference] for reference in asked})
    after = Lock(images=images)
    changes = relock.changes(before, after, asked)
    differs = bool(changes) or found is None
    if differs and not check:
        files.write(file.path, file.name, file.text(after), _MODE)
    word = "is up to date" if not differs else "would change" if check else "is written"
    _show(context, file, after, changes, word)
    return REASONS["differences"].exit if check and differs else 0


def _wanted(context: Context) -> tuple[dict[str, Place | None], LockFile, bool]:
    """The references of every environment (or of the one that is named), the lock file, and whether that is all."""
    from stackfile import api
    from stackfile.api import locks

    options = replace(context.load_options(), profiles=("*",))
    named = options.environment or context.environ.get("STACKFILE_ENVIRONMENT", "")
    environments = [named] if named else api.environment_names(options)
    found: dict[str, Place | None] = {}
    for name in environments:
        stack, _ = api.configuration(replace(options, environment=name))
        found = {**locks.references(stack), **found}
    return found, locks.LockFile.of(stack, options), not named


def _chosen(names: Sequence[str], wanted: Collection[str]) -> Collection[str]:
    """What --update asks for again. Raises UsageError for a reference that the stack does not name."""
    from stackfile.api.references import full_name

    found = {name: full_name(name) for name in names}
    for name, reference in found.items():
        if reference not in wanted:
            raise UsageError("usage", f"the stack has no image {name}", hint=nearest(reference, list(wanted)))
    return found.values() if names else wanted


def _show(context: Context, file: LockFile, lock: Lock, changes: Sequence[LockChange], word: str) -> None:
    from stackfile.api import to_plain

    console = context.console
    if console.json:
        images = {reference: to_plain(lock.images[reference]) for reference in sorted(lock.images)}
        console.document({"file": file.name, "images": images, "changes": [to_plain(each) for each in changes]})
        return
    for each in changes:
        mark, style = _MARKS[each.change]
        digests = " → ".join(digest for digest in (each.before, each.after) if digest)
        console.print(f" {console.paint(mark, style)} {each.reference}  {digests or 'not locked'}".rstrip())
    counts = {name: sum(each.change == name for each in changes) for name in _DONE}
    done = ", ".join(f"{number} {_DONE[name]}" for name, number in counts.items() if number)
    told = done or count(len(lock.images), "image")
    console.say(f"{file.name} {word}: {told}.")
