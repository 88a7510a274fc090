"""The text of lock files (`stack.lock`): YAML, sorted, the same bytes for the same content."""

from __future__ import annotations

from stackfile import digest as digests
from stackfile.errors import ErrorCollector, Place, StackError
from stackfile.language.nodes import Mapping, Node, Scalar, Sequence, kind_of
from stackfile.language.source import parse as parse_yaml
from stackfile.model.lock import Lock, LockedImage

NAME = "stack.lock"
VERSION = 1
_HEAD = """\
# The content of every image reference of the stack, for `--locked`. Written by `stackfile lock`:
# commit it; `stackfile lock --update` asks the registries anew.
"""


def render(lock: Lock) -> str:
    """The text of a lock file."""
    lines = [f"version: {VERSION}", "images:" if lock.images else "images: {}"]
    for reference, image in sorted(lock.images.items()):
        lines += [f"  {reference}:", f"    digest: {image.digest}"]
        if image.platforms:
            lines.append(f"    platforms: [{', '.join(image.platforms)}]")
    return _HEAD + "\n".join(lines) + "\n"


def parse(data: bytes, name: str) -> Lock:
    """What a lock file says. StackError, or ErrorList with all its mistakes: those of YAML, `missing-key`,
    `unknown-key`, `bad-type`, `bad-value` (a version that is not ours, a malformed digest).
    """
    errors = ErrorCollector()
    tree = parse_yaml(data, name, errors, templates=False)
    if not isinstance(tree, Mapping):
        raise StackError("not-a-mapping", f"{name} is no lock file", at=Place(name, 1, 1), hint="stackfile lock")
    _check_version(tree, name)
    _check_keys(tree, ("version", "images"), errors)
    images = tree.get("images")
    found: dict[str, LockedImage] = {}
    for reference, node in (_mapping(images, errors) if images is not None else {}).items():
        try:
            found[reference] = _image(node, errors)
        except StackError as error:
            errors.add(error)
    errors.check()
    return Lock(images=found)


def _check_version(tree: Mapping, name: str) -> None:
    """A file of a later version may mean something else throughout: nothing else is read then."""
    node = tree.get("version")
    if node is None:
        raise StackError("missing-key", f"{name} has no version", at=tree.place, hint="stackfile lock writes it anew")
    if not isinstance(node, Scalar) or node.value != VERSION or node.value is True:
        message = (
            f"{name} is of version {node.text if isinstance(node, Scalar) else kind_of(node)}, this knows {VERSION}"
        )
        raise StackError("bad-value", message, at=node.place, hint="use the stackfile that wrote it, or a later one")


def _check_keys(tree: Mapping, known: tuple[str, ...], errors: ErrorCollector) -> None:
    for key, mark in tree.keys.items():
        if key not in known:
            errors.add(StackError("unknown-key", f"unknown key {key!r} in a lock file", at=mark.place))


def _mapping(node: Node, errors: ErrorCollector) -> dict[str, Node]:
    if isinstance(node, Mapping):
        return node.entries
    errors.add(StackError("bad-type", f"a mapping is expected, not {kind_of(node)}", at=node.place))
    return {}


def _image(node: Node, errors: ErrorCollector) -> LockedImage:
    if not isinstance(node, Mapping):
        raise StackError("bad-type", f"an image is a mapping with its digest, not {kind_of(node)}", at=node.place)
    _check_keys(node, ("digest", "platforms"), errors)
    digest = node.get("digest")
    if digest is None:
        raise StackError("missing-key", "an image has a digest", at=node.place)
    if not isinstance(digest, Scalar) or not digests.is_digest(str(digest.value)):
        raise StackError("bad-value", "a digest is sha256: and 64 hexadecimal digits", at=digest.place)
    return LockedImage(digest=str(digest.value), platforms=_platforms(node.get("platforms")))


def _platforms(node: Node | None) -> tuple[str, ...]:
    if node is None:
        return ()
    if not isinstance(node, Sequence) or not all(isinstance(item, Scalar) for item in node.items):
        raise StackError("bad-type", "platforms is a list of texts", at=node.place)
    return tuple(item.text for item in node.items if isinstance(item, Scalar))
