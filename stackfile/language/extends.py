"""`extends`: a service merged over another one, of the same file or of another, by Compose's rules.

It happens in each file before files are merged. Relative paths of the other file start from that file's directory.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Sequence

from stackfile.errors import ErrorCollector, Place, StackError
from stackfile.language.dialect import SourceFile, dialect_of
from stackfile.language.merge import RESET, merge
from stackfile.language.nodes import Mapping, Node, Scalar, kind_of

Load = Callable[[SourceFile, Place], Mapping]
_NOT_INHERITED = ("extends", "for_each", "when")
_KEYS = frozenset({"service", "file"})


class Extender:
    """Resolves the `extends` of one load. `directories` learns where the paths of other files start."""

    def __init__(self, load: Load, directory: str, directories: dict[str, str], errors: ErrorCollector) -> None:
        self._load = load
        self._directory = directory
        self._directories = directories
        self._errors = errors
        self._loaded: dict[str, tuple[SourceFile, Mapping]] = {}

    def document(self, tree: Mapping, file: SourceFile, before: Sequence[Mapping]) -> Mapping:
        """`tree` without any `extends`; what it names is looked for in `before` at last: stacks that are included, and
        the files merged so far.

        A `!reset` of it says nothing: what another file extends is extended before files are merged.
        """
        services = tree.get("services")
        if not isinstance(services, Mapping) or not any(map(_extends, services.entries.values())):
            return tree
        known: dict[str, Node] = {}
        for other in before:
            if isinstance(there := other.get("services"), Mapping):
                known = {**there.entries, **known}
        entries = dict(services.entries)
        for name, node in services.entries.items():
            if not isinstance(node, Mapping) or not _extends(node):
                continue
            if node.entries["extends"].tag == RESET:
                entries[name] = node.without("extends")
                continue
            try:
                entries[name] = self._service(services, name, file, [], known)
            except StackError as error:
                self._errors.add(error)
                entries[name] = node.without("extends")
        return tree.with_entry("services", Mapping(entries, services.keys, services.place, services.tag))

    def _service(
        self, services: Mapping, name: str, file: SourceFile, chain: list[tuple[str, str]], known: dict[str, Node]
    ) -> Node:
        node = services.entries[name]
        if not _extends(node):
            return node
        assert isinstance(node, Mapping)
        place = node.entries["extends"].place
        if (file.path, name) in chain:
            names = " → ".join([*(other for _, other in chain), name])
            raise StackError("extends-cycle", f"services extend each other: {names}", at=place)
        wanted, path = self._target(node.entries["extends"])
        other, base_file = (services, file) if path is None else self._other(path, file)
        if path is None and wanted not in other.entries and wanted in known:
            base: Node = known[wanted]
        elif wanted in other.entries:
            base = self._service(other, wanted, base_file, [*chain, (file.path, name)], known if path is None else {})
        else:
            raise _unknown(wanted, other, node.entries["extends"], base_file)
        if not isinstance(base, Mapping):
            raise StackError("not-a-mapping", f"{wanted} is a mapping, not {kind_of(base)}", at=base.place)
        return merge(base.without(*_NOT_INHERITED), node.without("extends"), ("services", name))

    def _target(self, node: Node) -> tuple[str, Scalar | None]:
        """(service, file) of `extends`."""
        if isinstance(node, Scalar) and isinstance(node.value, str) and node.value:
            return node.value, None
        if not isinstance(node, Mapping):
            raise StackError("bad-type", f"extends is a service or a mapping, not {kind_of(node)}", at=node.place)
        for key, mark in node.keys.items():
            if key not in _KEYS and not key.startswith("x-"):
                raise StackError("unknown-key", f"unknown key {key!r} in extends", at=mark.place)
        service, file = node.get("service"), node.get("file")
        if service is None:
            raise StackError("missing-key", "extends needs `service`", at=node.place)
        for child in (service, file):
            if child is not None and (not isinstance(child, Scalar) or not isinstance(child.value, str)):
                raise StackError("bad-type", f"text is wanted here, not {kind_of(child)}", at=child.place)
        assert isinstance(service, Scalar)
        assert file is None or isinstance(file, Scalar)
        return str(service.value), file

    def _other(self, path: Scalar, file: SourceFile) -> tuple[Mapping, SourceFile]:
        """The services of another file."""
        base = self._directories.get(path.place.file, self._directory)
        full = os.path.normpath(os.path.join(base, str(path.value)))
        if full not in self._loaded:
            shown = os.path.normpath(os.path.join(os.path.dirname(file.shown), str(path.value)))
            other = SourceFile(shown, full, dialect_of(full) or file.dialect)
            self._directories.setdefault(shown, os.path.dirname(full))
            self._loaded[full] = other, self._load(other, path.place)
        other, tree = self._loaded[full]
        services = tree.get("services")
        return services if isinstance(services, Mapping) else Mapping({}, {}, tree.place), other


def _extends(node: Node) -> bool:
    return isinstance(node, Mapping) and "extends" in node.entries


def _unknown(wanted: str, services: Mapping, node: Node, file: SourceFile) -> StackError:
    close = difflib.get_close_matches(wanted, services.entries, 1)
    place = node.place
    if isinstance(node, Mapping):
        place = node.entries["service"].place
    hint = f"did you mean {close[0]}?" if close else ""
    return StackError("unknown-reference", f"no service {wanted!r} to extend in {file.shown}", at=place, hint=hint)
