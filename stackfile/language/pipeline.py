"""The phases, one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable
from collections.abc import Sequence as SequenceType
from dataclasses import replace
from functools import partial
from typing import Any

from stackfile.errors import ErrorCollector, ErrorList, Place, StackError, StackfileError
from stackfile.language import environments, expand, merge, project, settable, values
from stackfile.language.dialect import COMPOSE, STACK, SourceFile, dialect_of, files_of, shown_path
from stackfile.language.document import SECTIONS, AsWritten, Documents, Interpolator, read_bytes
from stackfile.language.extends import Extender
from stackfile.language.include import Included, Includer
from stackfile.language.nodes import Mapping, Node, Scalar, Sequence, kind_of, to_plain
from stackfile.language.normaliser import Normaliser
from stackfile.language.options import Form, LoadOptions, Reader, Warned
from stackfile.language.partials import Partials
from stackfile.language.template import OMIT, Engine
from stackfile.language.tracked import TrackedMap, Tracker
from stackfile.language.variables import Variables
from stackfile.model.stack import Stack

TOP_KEYS = frozenset(
    {"name", "version", "values", "values_schema", "environments", "include", "models", "jobs", *SECTIONS}
)


class Pipeline:
    """One load."""

    def __init__(
        self,
        options: LoadOptions,
        reader: Reader,
        warnings: list[Warned],
        contents: bool = True,
        form: Form = Form(),  # noqa: B008 (it is frozen)
    ) -> None:
        self.options = options
        self.reader = reader
        self.warnings = warnings
        self.contents = contents
        """Whether the content of configs, secrets and build contexts is wanted."""
        self.form = form
        self.interpolation = Interpolator if form.interpolate else AsWritten
        self.errors = ErrorCollector()
        self.tracker = Tracker()
        self.read_files: list[str] = []
        self.directory = ""
        self.directories: dict[str, str] = {}
        """File → where its relative paths start, of extended and included files."""
        self.scopes: dict[str, Variables] = {}
        """File → its variables, of included files."""
        self.dialects: set[str] = set()
        self.canonical: dict[str, Any] | None = None
        """Compose's own form, once loaded, where all files are Compose's."""
        self.cwd = os.path.abspath(options.directory)

    def gathered(self) -> Mapping:
        """All files in one tree, before values and environments. Raises StackError or ErrorList."""
        first = project.first_variables(self.options, self.reader)
        environ = {name: variable.value for name, variable in first.items()} | dict(self.options.environ)
        files, self.directory = files_of(self.options, environ, self.reader, self.warnings)
        self.variables = project.variables_of(self.options, first, self.directory, self.reader, self.tracker)
        partials = Partials(self.reader, self.directory, self.cwd, self.read_files)
        self.engine = Engine(self.variables, self.tracker, partials)
        self.interpolator = self.interpolation(self.variables, self.tracker, self.errors)
        self.documents = Documents(self.reader, self.errors)
        self.extender = Extender(self._document, self.directory, self.directories, self.errors)
        self.includer = Includer(self._included, self.errors)
        return self._merged(files)

    def run(self) -> Stack:
        """The stack. Raises StackError or ErrorList."""
        document, name, environment, overlays, scope = self._prepared()
        stack = self._normalise(document, name, environment, overlays, scope)
        self._warn_unset()
        self.errors.check()
        return stack

    def settings(self) -> settable.Given:
        """The stack's values, whatever its resources are. Raises StackError or ErrorList."""
        self._prepared()
        self.errors.check()
        return self.given

    def _prepared(self) -> tuple[Mapping, str, str, list[environments.Overlay], dict[str, Any]]:
        """The document with its environment, the stack's name, the environment's, and what templates see."""
        document = self.gathered()
        if not self.form.whole and self.dialects != {COMPOSE}:
            raise StackError("wrong-dialect", "only Compose files can be shown as they were written", at=document.place)
        if not document.entries and self.dialects == {COMPOSE}:
            raise StackError("not-a-mapping", "the file is empty", at=document.place)
        self._check_top(document)
        name = self._name(document)
        environment, overlays = self._environment(document)
        scope = self._scope(name, environment)
        document, scope["values"] = self._values(document, overlays, scope)
        return document, name, environment, overlays, scope

    # ------------------------------------------------------------ files

    def _merged(self, files: list[SourceFile]) -> Mapping:
        """All files in one tree. Errors of each are gathered before anything else happens."""
        parsed = [self._gathered(lambda file=file: self._parsed(file)) for file in files]  # type: ignore[misc]
        if None in parsed:
            self.errors.check()
        self._define_name([tree for tree, _ in parsed])
        trees = [self._interpolated(file, *pair) for file, pair in zip(files, parsed, strict=True)]
        return self._joined(files, trees, self.directory)

    def _joined(self, files: SequenceType[SourceFile], trees: SequenceType[Mapping], directory: str) -> Mapping:
        """Files merged one over the other, each with what it extends and includes."""
        result: Node | None = None
        for file, tree in zip(files, trees, strict=True):
            assert result is None or isinstance(result, Mapping)
            stacks = self.includer.stacks(tree, file, directory)
            before = [*stacks, result] if result else stacks
            tree = self.extender.document(tree.without("include"), file, before)
            tree = self.includer.joined(tree, file, stacks)
            result = merge.document(tree) if result is None else merge.merge(result, tree, (), self.errors)
        assert isinstance(result, Mapping)
        return result

    def _define_name(self, trees: SequenceType[Mapping]) -> None:
        """COMPOSE_PROJECT_NAME is a variable of the files. A name that is none is told later, when all are merged."""
        named = [tree for tree in trees if "name" in tree.entries][-1:] or trees[-1:]
        top = Mapping({}, {}, named[0].place)
        if node := named[0].get("name"):
            reading = Interpolator(self.variables, self.tracker, ErrorCollector())
            top = top.with_entry("name", reading.node(node), node.place)
        try:
            name = self._name(top)
        except StackError:
            return
        self.variables.define("COMPOSE_PROJECT_NAME", name)

    def _name(self, document: Mapping) -> str:
        compose = self.dialects == {COMPOSE}
        return project.name_of(self.options, document, self.directory, self.variables, self.engine, compose)

    def _included(self, entry: Included) -> Mapping:
        """An included stack: its own directory, its own variables below ours."""
        at = None if entry.env_files is None else entry.at
        found = project.env_files(entry.env_files, entry.directory, self.variables, self.reader, at)
        outer, self.interpolator = (
            self.interpolator,
            self.interpolation(self.interpolator.variables.beneath(found), self.tracker, self.errors),
        )
        try:
            for file in entry.files:
                self.directories[file.shown] = entry.directory
            trees = [self._document(file, entry.at) for file in entry.files]
            return self._joined(entry.files, trees, entry.directory)
        finally:
            self.interpolator = outer

    def _gathered(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except ErrorList as error:
            self.errors.errors.extend(error.errors)
        except StackfileError as error:
            self.errors.add(error)
        return None

    def _document(self, file: SourceFile, at: Place | None = None) -> Mapping:
        return self._interpolated(file, *self._parsed(file, at))

    def _parsed(self, file: SourceFile, at: Place | None = None) -> tuple[Mapping, str]:
        """(tree, dialect) of a file, as it is written."""
        tree, dialect = self.documents.read(file, at)
        self.dialects.add(dialect)
        if file.path != "-":
            self.read_files.append(file.path)
        return tree, dialect

    def _interpolated(self, file: SourceFile, tree: Mapping, dialect: str) -> Mapping:
        if self.interpolator.variables is not self.variables:
            self.scopes[file.shown] = self.interpolator.variables
        return self.interpolator.document(tree, extensions=dialect == COMPOSE)

    def _check_top(self, document: Mapping) -> None:
        import difflib

        for key, mark in document.keys.items():
            if key in TOP_KEYS or key.startswith("x-"):
                self._check_kind(key, document.entries[key])
                continue
            close = difflib.get_close_matches(key, TOP_KEYS, 1)
            hint = f"did you mean {close[0]}?" if close else ""
            self.errors.add(StackError("unknown-key", f"unknown key {key!r}", at=mark.place, hint=hint))

    def _check_kind(self, key: str, node: Node) -> None:
        """Sections of a Compose file are mappings; its version and name are text, in a stack file numbers too."""
        if self.dialects != {COMPOSE}:
            self._check_own_kind(key, node)
        elif key in ("version", "name") and not (isinstance(node, Scalar) and isinstance(node.value, str)):
            self.errors.add(StackError("bad-type", f"{key} is text, not {kind_of(node)}", at=node.place))
        elif key in (*SECTIONS, "jobs") and not isinstance(node, Mapping):
            self.errors.add(StackError("not-a-mapping", f"{key} is a mapping, not {kind_of(node)}", at=node.place))

    def _check_own_kind(self, key: str, node: Node) -> None:
        value = node.value if isinstance(node, Scalar) else node
        if key in ("name", "version") and (isinstance(value, bool | Mapping | Sequence) or value is None):
            self.errors.add(StackError("bad-type", f"{key} is text, not {kind_of(node)}", at=node.place))
        elif key == "values_schema" and not isinstance(value, bool | Mapping):
            self.errors.add(StackError("bad-type", f"{key} is a mapping, not {kind_of(node)}", at=node.place))

    # ------------------------------------------------------------ environments

    def _environment(self, document: Mapping) -> tuple[str, list[environments.Overlay]]:
        known = environments.known_environments(document)
        wanted = self.options.environment or self.options.environ.get("STACKFILE_ENVIRONMENT", "")
        at = Place("-E" if self.options.environment else "STACKFILE_ENVIRONMENT")
        name = environments.choose(known, wanted, at)
        if known is not None:
            environments.check_defaults(known, self.errors)
        if not name or known is None:
            return name, []
        overlays = environments.chain(known, name, self._environment_file)
        for overlay in overlays:
            environments.check_keys(overlay, self.errors)
        file = SourceFile(document.place.file, document.place.file, STACK)
        return name, [replace(each, tree=self.extender.document(each.tree, file, [document])) for each in overlays]

    def _environment_file(self, path: str, at: Place) -> Mapping:
        full = os.path.normpath(os.path.join(self.directory, path))
        return self._document(SourceFile(shown_path(full, self.cwd), full, dialect_of(full) or STACK), at)

    # ------------------------------------------------------------ values

    def _scope(self, name: str, environment: str) -> dict[str, Any]:
        stack = {"name": name, "environment": environment, "dir": self.directory}
        return {"env": self.variables, "stack": stack, "omit": OMIT}

    def _values(
        self, document: Mapping, overlays: list[environments.Overlay], scope: dict[str, Any]
    ) -> tuple[Mapping, TrackedMap]:
        """The document with the environment laid over it, and the values as templates see them."""
        defaults = self._mapping_of(document.get("values"), "values")
        schema = document.get("values_schema")
        rules = to_plain(schema) if schema is not None else None
        checker = values.Checker(rules, self.errors)
        overs: list[tuple[str, Mapping]] = []
        for overlay in overlays:
            over = self._mapping_of(overlay.tree.get("values"), "values")
            if over is not None:
                overs.append((f"environment {overlay.name}", over))
            laid = self._gathered(partial(environments.lay_over, document, overlay, self.errors))
            document = laid or document
        overs += self._given_values(defaults)
        for _, over in overs:
            checker.check(defaults or Mapping({}, {}, document.place), over)
        tree = values.merged(defaults, [over for _, over in overs])
        result = values.build(tree, self.engine, scope, self.tracker)
        scope["values"] = result
        values.resolve_all(result, self.errors)
        checker.validate(result, tree)
        self.given = settable.Given(defaults=defaults, overs=overs, tree=tree, result=result, schema=rules)
        if any(error.reason == "values-invalid" for error in self.errors.errors):
            # What is made of values of a wrong type is wrong too, and would only hide the cause.
            self.errors.check()
        return document, result

    def _mapping_of(self, node: Node | None, what: str) -> Mapping | None:
        if node is None or (isinstance(node, Scalar) and node.value is None):
            return None
        if not isinstance(node, Mapping):
            self.errors.add(StackError("not-a-mapping", f"{what} is a mapping, not {kind_of(node)}", at=node.place))
            return None
        return node

    def _given_values(self, defaults: Mapping | None) -> list[tuple[str, Mapping]]:
        """`--values` files, then `--set` options: plain data, neither templated nor interpolated."""
        result = [("--values", self._gathered(partial(self._values_file, name))) for name in self.options.values_files]
        for kind, text in self.options.sets:
            tree = self._gathered(partial(values.assignment, kind, text, defaults, self._read))
            result.append((f"--{kind}", tree))
        return [(source, tree) for source, tree in result if tree is not None]

    def _values_file(self, name: str) -> Mapping | None:
        from stackfile.language.source import parse

        data = self._read(name, Place(name))
        tree = parse(data, name, self.errors, templates=False)
        return self._mapping_of(tree, f"the content of {name}")

    def _read(self, name: str, at: Place) -> bytes:
        path = name if name == "-" else os.path.normpath(os.path.join(self.cwd, name))
        self.read_files.append(path)
        return read_bytes(path, name, self.reader, at)

    # ------------------------------------------------------------ resources

    def _normalise(
        self,
        document: Mapping,
        name: str,
        environment: str,
        overlays: list[environments.Overlay],
        scope: dict[str, Any],
    ) -> Stack:
        own = environments.profiles_of(overlays)
        normaliser = Normaliser(
            project=name,
            directory=self.directory,
            options=self.options,
            variables=self.variables,
            reader=self.reader,
            errors=self.errors,
            expander=expand.Expander(self.engine, self.tracker, self.errors),
            profiles=project.profiles_of(self.options, self.variables, own),
            directories=self.directories,
            scopes=self.scopes,
            contents=self.contents,
            form=self.form,
            compose=self.dialects == {COMPOSE} and not self._wrong_dialect(),
        )
        stack = normaliser.stack(document, scope)
        if normaliser.canonical and not self.errors.errors:
            self.canonical = normaliser.canonical.plain(stack, document)
        return replace(stack, environment=environment, files=tuple(dict.fromkeys(self.read_files)))

    def _wrong_dialect(self) -> bool:
        """Whether a Compose file has our keys: that is told, and what Compose would say of them is not."""
        return any(error.reason == "wrong-dialect" for error in self.errors.errors)

    def _warn_unset(self) -> None:
        for name, place in self.variables.unset.items():
            self.warnings.append(Warned(f"variable {name} is not set; it is empty here", place))
