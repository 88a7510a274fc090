"""Images of the stack: `from` and recipe steps."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable

from stackfile.errors import StackError
from stackfile.language.nodes import Mapping, Node, Scalar, kind_of
from stackfile.language.normalise import build, health
from stackfile.language.normalise.basic import (
    NO_TEXTS,
    boolean,
    command,
    file_mode,
    items,
    name,
    one_or_texts,
    pairs,
    signal,
    text,
    texts,
)
from stackfile.language.normalise.context import Context, Fields, as_mapping
from stackfile.language.normalise.ports import expose
from stackfile.model.stack import Build, ImageResource, Step

UNSUPPORTED = frozenset({"platforms", "pull_policy"})
DEFAULT_SHELL = ("/bin/sh", "-ec")
_REFERENCE = re.compile(r"[a-zA-Z0-9][\w.\-:/@]*")

StepParser = Callable[[Node, Context], Step]
STEPS: dict[str, StepParser] = {}
"""Instruction key → parser: a new step is one function here."""


def parse(key: str, tree: Mapping, context: Context) -> ImageResource:
    """An image. Mistakes are reported to the context."""
    fields = Fields(tree, context, f"image {key}")
    names = (f"{context.project}/{key.lower()}", *fields.take("tags", texts, NO_TEXTS))
    if fields.node("build") is not None:
        return _of_build(key, fields, names)
    base = fields.require("from", name, "scratch")
    archive = fields.take("from", lambda node: _archive(node, context), "")
    if base in context.images:
        context.refer(f"image.{key}", "image", base, tree.entries["from"].place)
    steps = fields.take_list("steps", lambda node: step(node, context))
    fields.finish(UNSUPPORTED)
    reference = base.removeprefix("docker-image://")
    return ImageResource(
        name=key,
        base=reference,
        base_is_stack_image=base in context.images,
        base_path=archive,
        steps=steps,
        tags=build.tagged(names),
    )


def _of_build(key: str, fields: Fields, names: tuple[str, ...]) -> ImageResource:
    """An image from a Dockerfile."""
    for other in ("from", "steps"):
        if other in fields.tree.entries:
            message = f"image {key} has `build` and `{other}`"
            fields.context.report(StackError("bad-value", message, at=fields.tree.keys[other].place))
            fields.node(other)
    node = fields.node("build")
    found = fields.guard(lambda: build.parse(node, fields.context, f"image.{key}"), node, None) if node else None
    fields.finish(UNSUPPORTED)
    if found is None:
        return ImageResource(name=key, tags=build.tagged(names), build=Build())
    return ImageResource(name=key, tags=build.tagged((*names, *found[1])), build=found[0])


def _archive(node: Node, context: Context) -> str:
    """The absolute path of an archive or layout; "" for a reference, which must be one."""
    value = text(node)
    path = value.removeprefix("oci-layout://")
    if path != value or value.startswith(("./", "../", "/")):
        return context.path(path, node.place)
    if not _REFERENCE.fullmatch(value.removeprefix("docker-image://")):
        raise StackError("bad-value", f"not an image reference: {value!r}", at=node.place)
    return ""


def step(node: Node, context: Context) -> Step:
    """One recipe step: a mapping with one instruction key. Raises StackError."""
    tree = as_mapping(node)
    keys = [key for key in tree.entries if not key.startswith("x-")]
    unknown = [key for key in keys if key not in STEPS]
    if unknown:
        close = difflib.get_close_matches(unknown[0], STEPS, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(STEPS)}"
        raise StackError("unknown-key", f"no step {unknown[0]!r}", at=tree.keys[unknown[0]].place, hint=hint)
    if len(keys) != 1:
        place = tree.keys[keys[1]].place if keys else tree.place
        message = f"a step has one instruction, not {len(keys)}"
        raise StackError("bad-value", message, at=place, hint="make each instruction an item of the list")
    value = tree.entries[keys[0]]
    try:
        return STEPS[keys[0]](value, context)
    except StackError as error:
        error.at = error.at or value.place
        raise


def _mapped(key: str) -> StepParser:
    def parse_step(node: Node, context: Context) -> Step:
        mapping = pairs(node)
        if not mapping:
            raise StackError("missing-key", f"`{key}` is empty", at=node.place)
        return Step(kind=key, mapping=mapping)

    return parse_step


def _texts(key: str, parser: Callable[[Node], tuple[str, ...]]) -> StepParser:
    return lambda node, context: Step(kind=key, argv=parser(node))


def _single(key: str, parser: Callable[[Node], str]) -> StepParser:
    return lambda node, context: Step(kind=key, text=parser(node))


def _host(node: Node, context: Context) -> Step:
    """Programs with what they need, and paths, of the engine's machine."""
    fields = Fields(as_mapping(node), context, "host")
    programs = fields.take("programs", one_or_texts, NO_TEXTS)
    paths = fields.take("paths", one_or_texts, NO_TEXTS)
    packages = fields.take("packages", one_or_texts, NO_TEXTS)
    dependencies = fields.take("dependencies", boolean, False)
    users = fields.take("users", one_or_texts, NO_TEXTS)
    exclude = fields.take("exclude", one_or_texts, NO_TEXTS)
    fields.finish()
    if not programs and not paths and not packages and not users:
        raise StackError("missing-key", "host needs `programs`, `paths`, `packages` or `users`", at=node.place)
    if ("dependencies" in fields.entries or exclude) and not packages:
        raise StackError("missing-key", "`dependencies` and `exclude` are of `packages`", at=node.place)
    for path in paths:
        if not path.startswith("/"):
            raise StackError("bad-value", f"a host path is absolute, not {path!r}", at=node.place)
    return Step(
        kind="host",
        programs=programs,
        paths=paths,
        packages=packages,
        dependencies=dependencies,
        users=users,
        exclude=exclude,
    )


def _copy(key: str) -> StepParser:
    def parse_step(node: Node, context: Context) -> Step:
        fields = Fields(as_mapping(node), context, key)
        here = not fields.node("from")
        result = Step(
            kind=key,
            source=fields.require("source", lambda child: _sources(child, context, here), NO_TEXTS),
            target=fields.require("target", name, ""),
            chown=fields.take("chown", text, ""),
            chmod=fields.take("chmod", lambda child: f"{file_mode(child):04o}", ""),
            from_image=fields.take("from", name, ""),
        )
        fields.finish({"exclude", "link", "parents", "checksum", "keep_git_dir"})
        if "source" in fields.tree.entries and not result.source:
            raise StackError("bad-value", f"{key} has no source", at=node.place)
        if result.from_image:
            _from_image(result.from_image, fields.tree.entries["from"], context)
        return result

    return parse_step


def _sources(node: Node, context: Context, here: bool) -> tuple[str, ...]:
    """Paths in the stack's directory; those of an included file start in its own. Of another image, as written."""
    found = one_or_texts(node)
    return tuple(context.relative(source, node.place) for source in found) if here else found


def _from_image(image: str, node: Node, context: Context) -> None:
    if image not in context.images:
        raise StackError("unknown-reference", f"no image {image!r} in the stack", at=node.place)


def _run(node: Node, context: Context) -> Step:
    """Text goes to `/bin/sh -ec`; a list is executed as it is."""
    if isinstance(node, Scalar):
        return Step(kind="run", argv=(*DEFAULT_SHELL, name(node)))
    if isinstance(node, Mapping):
        raise StackError("bad-type", f"run takes text or a list, not {kind_of(node)}", at=node.place)
    argv = texts(node)
    if not argv:
        raise StackError("bad-value", "run is empty", at=node.place)
    return Step(kind="run", argv=argv)


def _expose(node: Node) -> tuple[str, ...]:
    nodes = [node] if isinstance(node, Scalar) else items(node)
    return tuple(port for item in nodes for port in expose(item))


def _volumes(node: Node) -> tuple[str, ...]:
    paths = one_or_texts(node)
    for path in paths:
        if not path.startswith("/"):
            raise StackError("bad-value", f"a volume is an absolute path, not {path!r}", at=node.place)
    return paths


def _exec_form(node: Node) -> tuple[str, ...]:
    """Entrypoint and cmd: a list, or text for a shell, as in a Dockerfile."""
    return (*DEFAULT_SHELL, text(node)) if isinstance(node, Scalar) else texts(node)


def _healthcheck(node: Node, context: Context) -> Step:
    return Step(kind="healthcheck", healthcheck=health.parse(node, context))


STEPS.update({
    "host": _host,
    "copy": _copy("copy"),
    "add": _copy("add"),
    "run": _run,
    "env": _mapped("env"),
    "arg": _mapped("arg"),
    "label": _mapped("label"),
    "workdir": _single("workdir", name),
    "user": _single("user", text),
    "stopsignal": _single("stopsignal", signal),
    "expose": _texts("expose", _expose),
    "volume": _texts("volume", _volumes),
    "entrypoint": _texts("entrypoint", _exec_form),
    "cmd": _texts("cmd", _exec_form),
    "shell": _texts("shell", command),
    "healthcheck": _healthcheck,
})  # fmt: skip
