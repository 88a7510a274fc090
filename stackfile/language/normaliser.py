"""Phase 5: the merged tree → the resources of a stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Mapping as MappingType
from dataclasses import replace
from typing import Any, TypeVar

from stackfile.errors import ErrorCollector, Place, StackError, StackfileError
from stackfile.language import merge, validate
from stackfile.language.canonical import service as canonical_service
from stackfile.language.canonical.forms import FORMS
from stackfile.language.canonical.project import Document
from stackfile.language.document import read_bytes
from stackfile.language.expand import Expander, Member, Section
from stackfile.language.nodes import Broken, Mapping, Node, Scalar, Template, to_plain
from stackfile.language.normalise import image, limits, links, resources, service
from stackfile.language.normalise.context import Context, Fields
from stackfile.language.options import Form, LoadOptions, Reader
from stackfile.language.origins import record, record_service
from stackfile.language.template import SecretMark
from stackfile.language.tracked import Replica
from stackfile.language.variables import Variables
from stackfile.model.stack import (
    ConfigResource,
    FileRef,
    ImageResource,
    NetworkResource,
    Service,
    Stack,
)

T = TypeVar("T")
_IGNORED = {"models": "the engine runs no models", "jobs": "the engine runs no jobs by schedule"}
MAX_VARIANTS = 1_000
"""Replicas of a service that differ by `replica` in its templates."""
KINDS = {
    "images": "image",
    "networks": "network",
    "volumes": "volume",
    "configs": "config",
    "secrets": "secret",
    "services": "service",
}


class SecretNames(dict[str, SecretMark]):
    """`secrets` in the content of a secret: every name gives a mark; whether it exists is checked with the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str)

    def __missing__(self, key: str) -> SecretMark:
        return self[key]

    def __getitem__(self, key: str) -> SecretMark:
        self.read.append(key)
        return SecretMark(key)


class Normaliser:
    """Makes the resources of one stack."""

    def __init__(
        self,
        *,
        project: str,
        directory: str,
        options: LoadOptions,
        variables: Variables,
        reader: Reader,
        errors: ErrorCollector,
        expander: Expander,
        profiles: frozenset[str],
        directories: MappingType[str, str],
        scopes: MappingType[str, Variables],
        compose: bool,
        contents: bool,
        form: Form,
    ) -> None:
        self.options = options
        self.expander = expander
        self.profiles = profiles
        self.context = Context(
            project=project,
            directory=directory,
            directories=directories,
            scopes=scopes,
            contents=contents,
            variables=variables,
            reader=reader,
            errors=errors,
            forms={} if compose else FORMS,
        )
        self.form = form
        self.canonical = Document(replace(self.context, form=form)) if compose else None
        """Compose's own form, where all files are Compose's."""
        self.sections: dict[str, Section] = {}
        self.replica_configs: dict[str, Member] = {}
        self.refused: dict[str, set[str]] = {kind: set() for kind in KINDS.values()}
        """Kind → names of resources that Compose's form refuses: they are there for what refers to them."""

    def stack(self, document: Mapping, scope: dict[str, Any]) -> Stack:
        """The stack. Mistakes are in the collector."""
        if self.canonical:
            self.canonical.take_models(document)
        self._ignore_sections(document, scope)
        for name, kind in KINDS.items():
            section = self.expander.section(document.get(name), name, scope)
            self.sections[name] = section
            places = {member.name: member.place for member in section.members.values()}
            validate.names(kind, places, self.context)
        self.context.images = frozenset(self.sections["images"].members)
        groups = {name: tuple(members) for name, members in self.sections["services"].groups.items()}
        self.context.groups = groups
        configs = self._configs()
        secrets = self._simple("secrets", resources.secret, self._secret_tree)
        networks = self._simple("networks", resources.network)
        volumes = self._simple("volumes", resources.volume)
        images = self._simple("images", image.parse)
        everything = self._services()
        services = links.alias(self._enabled(self._without_providers(everything)), self.context)
        self._default_network(networks, services)
        stack = Stack(
            name=self.context.project,
            directory=self.context.directory,
            images={**images, **self._built(services)},
            services=services,
            networks=networks,
            volumes=volumes,
            configs=configs,
            secrets=secrets,
            groups={name: tuple(m for m in members if m in services) for name, members in groups.items()},
            origins=self.context.origins,
            ignored=tuple(self.context.ignored.values()),
        )
        if self.form.consistency and self.form.interpolate:
            self._validate(stack, set(everything) - set(services))
        return stack

    def _ignore_sections(self, document: Mapping, scope: dict[str, Any]) -> None:
        """Sections without effect: that is told, and what is wrong in them."""
        found = {key: node for key in _IGNORED if (node := document.get(key)) is not None}
        if not found:
            return
        tree = self.expander.tree(Mapping(found, document.keys, document.place), scope)
        assert isinstance(tree, Mapping)
        Fields(tree, self.context, "the stack").ignore("stack", _IGNORED, form="stack")

    def _built(self, services: MappingType[str, Service]) -> dict[str, ImageResource]:
        """Images of the `build:` of services that are enabled; named contexts that are services become images."""
        result: dict[str, ImageResource] = {}
        for key, made in self.context.built.items():
            if made.service not in services or made.build is None:
                continue
            contexts = dict(made.build.contexts)
            for name, value in contexts.items():
                kind, _, other = value.partition(":")
                if kind == "service" and other in services:
                    contexts[name] = f"image:{services[other].image}"
            result[key] = replace(made, build=replace(made.build, contexts=contexts))
        return result

    # ------------------------------------------------------------ resources other than services

    def _simple(
        self,
        section: str,
        parse: Callable[[str, Mapping, Context], T],
        evaluate: Callable[[Member], Mapping] | None = None,
    ) -> dict[str, T]:
        """The resources of a section by name."""
        result: dict[str, T] = {}
        for member in self.sections[section].members.values():
            tree = evaluate(member) if evaluate else self._tree(member)
            if self.canonical and section != "images" and not self.canonical.resource(section, member.name, tree):
                self.refused[KINDS[section]].add(member.name)
                continue
            if not self.form.interpolate:
                continue
            record(self.context.origins, f"{KINDS[section]}.{member.name}", tree, member.place)
            result[member.name] = parse(member.name, tree, self.context)
        return result

    def _tree(self, member: Member) -> Mapping:
        tree = self.expander.tree(member.tree, member.scope)
        assert isinstance(tree, Mapping)
        return tree

    def _secret_tree(self, member: Member) -> Mapping:
        """A secret's own tree; in its content other secrets are in scope, as marks."""
        content = member.tree.get("content")
        if not isinstance(content, Template):
            return self._tree(member)
        names = SecretNames()
        rest = self.expander.tree(member.tree.without("content"), member.scope)
        assert isinstance(rest, Mapping)
        evaluated = self.expander.tree(content, {**member.scope, "secrets": names})
        if evaluated is None:
            return rest
        text = evaluated.value if isinstance(evaluated, Scalar) else None
        marks = resources.SECRET_MARK.findall(text) if isinstance(text, str) else []
        if sorted(marks) != sorted(names.read) and not isinstance(evaluated, Broken):
            message = "the content of another secret cannot be changed by filters"
            self.context.report(StackError("template-failed", message, at=content.place))
            evaluated = Broken(content.place)
        return rest.with_entry("content", evaluated, member.tree.keys["content"].place)

    def _configs(self) -> dict[str, ConfigResource]:
        """Configs. One whose content depends on the replica has no content of its own."""
        result: dict[str, ConfigResource] = {}
        for member in self.sections["configs"].members.values():
            member = self._config_template(member)
            replica = Replica(1, 1)
            tree = self._tree(replace(member, scope={**member.scope, "replica": replica}))
            if self.canonical and not self.canonical.resource("configs", member.name, tree):
                self.refused["config"].add(member.name)
                continue
            if not self.form.interpolate:
                continue
            record(self.context.origins, f"config.{member.name}", tree, member.place)
            result[member.name] = resources.config(member.name, tree, self.context)
            if replica.read:
                self.replica_configs[member.name] = member
                result[member.name] = ConfigResource(name=member.name, content=None)
        return result

    def _config_template(self, member: Member) -> Member:
        """A config with `template_driver: jinja`: the text of its file becomes its content, as a template."""
        driver, file = member.tree.get("template_driver"), member.tree.get("file")
        if driver is None or file is None:
            return member
        tree = member.tree.without("template_driver", "file")
        content: Node = Broken(file.place)
        try:
            content = self._file_template(driver, file, member.scope)
        except StackError as error:
            self.expander.report(error)
        return replace(member, tree=tree.with_entry("content", content, member.tree.keys["file"].place))

    def _file_template(self, driver: Node, file: Node, scope: dict[str, Any]) -> Node:
        if not isinstance(driver, Scalar) or driver.value != "jinja":
            raise StackError("bad-value", "template_driver is jinja", at=driver.place)
        path = self.expander.tree(file, scope)
        if not isinstance(path, Scalar) or not isinstance(path.value, str):
            return file
        data = read_bytes(self.context.path(path.value, path.place), path.value, self.context.reader, path.place)
        text = data.decode("utf-8", "replace")
        return Template(text, Place(path.value, 1, 1), start=(1, 1), interpolated=False)

    # ------------------------------------------------------------ services

    def _services(self) -> dict[str, Service]:
        scale = self._scale()
        result: dict[str, Service] = {}
        for member in self.sections["services"].members.values():
            told = len(self.context.errors.errors)
            if self.canonical and not self.canonical.service(member.name, member.tree):
                self.refused["service"].add(member.name)
                self._rest_of_refused(member, self.context.errors.errors[told:])
                continue
            if self._provided(member):
                continue
            if not self.form.interpolate:
                result[member.name] = _unread(member)
                continue
            count = self._count(member, scale)
            result[member.name] = self._service(member, count)
        return result

    def _rest_of_refused(self, member: Member, told: Sequence[StackfileError]) -> None:
        """What we refuse of a service besides, in keys of which nothing was `told`; and what these refer to."""
        if not self.form.interpolate or "provider" in member.tree.keys:
            return
        found = ErrorCollector()
        tree = merge.without_repetition(member.tree)
        service.parse(member.name, tree, replace(self.context, errors=found), 1)
        keys = {_key_at(member.tree, error.at) for error in told}
        for error in found.errors:
            if isinstance(error, StackError) and _key_at(member.tree, error.at) not in keys:
                self.context.report(error)

    def _provided(self, member: Member) -> bool:
        """Whether a service is another program's (`provider`): it is reported, and no one waits for it."""
        mark = member.tree.keys.get("provider")
        if mark is None:
            return False
        if not self.canonical:
            tree = self.expander.service(member.tree, member.scope, Replica(1, 1))
            canonical_service.service(tree, self.context)
        self.context.ignore(f"service.{member.name}", "provider", mark.place, "the engine runs containers alone")
        self.context.providers.add(member.name)
        return True

    def _scale(self) -> dict[str, int]:
        """`--scale` by service; a group's name counts for its members."""
        result: dict[str, int] = {}
        for name, count in self.options.scale.items():
            for member in self.context.groups.get(name, (name,)):
                if member not in self.sections["services"].members:
                    place = Place(f"--scale {name}={count}")
                    self.context.report(StackError("unknown-reference", f"no service {name!r}", at=place))
                result[member] = count
        return result

    def _count(self, member: Member, scale: MappingType[str, int]) -> int:
        """Replicas of a service. They are known before its other templates, which may use `replica.count`."""
        keep: dict[str, Node] = {key: node for key, node in member.tree.entries.items() if key in ("scale", "deploy")}
        deploy = keep.get("deploy")
        if isinstance(deploy, Mapping):
            keep["deploy"] = deploy.without(*(key for key in deploy.entries if key != "replicas"))
        part = Mapping(keep, {key: member.tree.keys[key] for key in keep}, member.tree.place)
        tree = self.expander.tree(part, member.scope)
        assert isinstance(tree, Mapping)
        if _has_broken(tree):
            return 1
        try:
            count = limits.replicas(tree, self.context)
        except StackError as error:
            self.context.report(error)
            count = 1
        return scale.get(member.name, count)

    def _service(self, member: Member, count: int) -> Service:
        replica = Replica(1, count)
        tree = self.expander.service(member.tree, member.scope, replica)
        record_service(self.context.origins, f"service.{member.name}", tree, member.place)
        first = self._parsed(member.name, tree, count)
        files, used = self._replica_files(first, replica)
        if not replica.read and not used:
            return first
        if count > MAX_VARIANTS:
            message = f"{member.name} has {count} replicas; at most {MAX_VARIANTS} may differ by `replica`"
            raise StackError("template-limit", message, at=member.place)
        counts = "count" in replica.read
        variants = [replace(first, files=files)]
        for index in range(2, count + 1):
            other = Replica(index, count)
            tree = self.expander.service(member.tree, member.scope, other)
            variant = self._parsed(member.name, tree, count)
            files, _ = self._replica_files(variant, other)
            variants.append(replace(variant, files=files))
            counts = counts or "count" in other.read
        variants = [replace(variant, counts_replicas=counts) for variant in variants]
        return replace(variants[0], variants=tuple(variants))

    def _parsed(self, name: str, tree: Mapping, count: int) -> Service:
        if self.canonical:
            tree = merge.without_repetition(tree)
        return service.parse(name, tree, self.context, count)

    def _replica_files(self, parsed: Service, replica: Replica) -> tuple[tuple[FileRef, ...], bool]:
        """The files of a replica, with the content of configs that depend on it; and whether there is any."""
        if not any(file.kind == "config" and file.source in self.replica_configs for file in parsed.files):
            return parsed.files, False
        result = [
            replace(file, content=self._replica_content(file.source, replica))
            if file.kind == "config" and file.source in self.replica_configs
            else file
            for file in parsed.files
        ]
        return tuple(result), True

    def _replica_content(self, name: str, replica: Replica) -> str | None:
        member = self.replica_configs[name]
        tree = self._tree(replace(member, scope={**member.scope, "replica": replica}))
        return resources.config(name, tree, self.context).content

    def _enabled(self, services: dict[str, Service]) -> dict[str, Service]:
        """The services of enabled profiles, those without a profile, and those named on the command line."""
        if "*" in self.profiles:
            return services
        named = {member for name in self.options.services for member in self.context.groups.get(name, (name,))}
        return {
            name: entry
            for name, entry in services.items()
            if not entry.profiles or name in named or self.profiles.intersection(entry.profiles)
        }

    def _without_providers(self, services: dict[str, Service]) -> dict[str, Service]:
        """No service waits for one that is not there as a container."""
        absent = self.context.providers
        if not absent:
            return services
        return {
            name: replace(entry, depends_on={key: row for key, row in entry.depends_on.items() if key not in absent})
            for name, entry in services.items()
        }

    def _default_network(self, networks: dict[str, NetworkResource], services: dict[str, Service]) -> None:
        """`default`: made where a service uses it and the file does not describe it; left out where unused."""
        used = any(entry.network == "default" for parsed in services.values() for entry in parsed.networks)
        if used and "default" not in networks:
            networks["default"] = NetworkResource(name="default", full_name=f"{self.context.project}_default")

    # ------------------------------------------------------------ the whole

    def _validate(self, stack: Stack, disabled: set[str]) -> None:
        context = self.context
        parsed: dict[str, MappingType[str, Any]] = {
            "image": stack.images,
            "network": stack.networks,
            "volume": stack.volumes,
            "config": stack.configs,
            "secret": stack.secrets,
            "service": stack.services,
        }
        known = {kind: {**found, **dict.fromkeys(self.refused[kind])} for kind, found in parsed.items()}
        failed = {KINDS[name] for name, section in self.sections.items() if section.failed}
        skipped = {KINDS[name]: section.skipped for name, section in self.sections.items()}
        wanted = [
            reference
            for reference in context.references
            if not (reference.owner.startswith("service.") and reference.owner[8:] in disabled)
            and reference.kind not in failed
            and not (reference.kind == "service" and reference.name in context.providers)
        ]
        validate.references(wanted, known, disabled, skipped, context)
        validate.services_cycle(stack.services, context)
        validate.images_cycle(stack.images, context)
        validate.secrets_cycle(stack.secrets, context)
        validate.container_names(stack.services, context)
        validate.mount_targets(stack.services, context)
        validate.port_collisions(stack.services, context.published, context)


def _unread(member: Member) -> Service:
    """A service whose variables stay as written: only its profiles count."""
    found = member.tree.get("profiles")
    profiles = to_plain(found) if found is not None else ()
    return Service(name=member.name, image="", profiles=tuple(profiles) if isinstance(profiles, list) else ())


def _key_at(tree: Mapping, at: Place | None) -> str:
    """The key of a mapping under which a place stands; "" where it is in another file."""
    if at is None:
        return ""
    marks = [(mark.place.line, mark.place.column, key) for key, mark in tree.keys.items() if mark.place.file == at.file]
    return max((mark for mark in marks if mark[:2] <= (at.line, at.column)), default=(0, 0, ""))[2]


def _has_broken(node: Node) -> bool:
    if isinstance(node, Mapping):
        return any(_has_broken(child) for child in node.entries.values())
    return isinstance(node, Broken)
