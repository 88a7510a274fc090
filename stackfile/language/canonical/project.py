"""The whole document: services with what their surroundings say, and the resources that they use."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Mapping as MappingType
from typing import Any

from stackfile.errors import StackError
from stackfile.language.canonical import resources, service, shapes
from stackfile.language.canonical.container import CONTAINER
from stackfile.language.nodes import Mapping, Node, to_plain
from stackfile.language.normalise.context import Context
from stackfile.model.stack import Service, Stack

Plain = dict[str, Any]
SECTIONS = ("networks", "volumes", "configs", "secrets")
_LIMITS = (
    ("cpus", "limits", "cpus"),
    ("mem_limit", "limits", "memory"),
    ("pids_limit", "limits", "pids"),
    ("mem_reservation", "reservations", "memory"),
)
"""Key of a service, and where `deploy.resources` has the same."""
_NOT_IN_STEPS = frozenset({"volumes", "volumes_from"})
"""Keys of a container that a `pre_start` step does not take from its service."""


class Document:
    """Compose's form of one stack. Mistakes are reported to the context."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.services: dict[str, Plain] = {}
        self.resources: dict[str, dict[str, Plain]] = {section: {} for section in SECTIONS}
        self.models: dict[str, Plain] = {}
        self.trees: dict[str, Mapping] = {}

    # ------------------------------------------------------------ what each is

    def service(self, name: str, tree: Mapping) -> bool:
        """Take a service; whether nothing is wrong with it."""
        self.trees[name] = tree
        return self._taken(self.services, name, lambda: service.service(tree, self.context), tree)

    def resource(self, section: str, name: str, node: Node) -> bool:
        """Take a network, volume, config or secret; whether nothing is wrong with it."""
        return self._taken(
            self.resources[section], name, lambda: resources.resource(section, name, node, self.context), node
        )

    def take_models(self, document: Mapping) -> None:
        """`models:` of the document."""
        section = document.get("models")
        if section is None:
            return
        try:
            self.models = shapes.map_of(resources.model)(section, self.context)
        except StackError as error:
            error.at = error.at or section.place
            self.context.report(error)

    def _taken(self, into: dict[str, Plain], name: str, make: Any, node: Node) -> bool:
        before = len(self.context.errors.errors)
        try:
            into[name] = make()
        except StackError as error:
            error.at = error.at or node.place
            self.context.report(error)
        return len(self.context.errors.errors) == before

    # ------------------------------------------------------------ the whole

    def plain(self, stack: Stack, document: Mapping) -> Plain:
        """What `config` prints of the loaded stack. `document` is the merged tree, for what stands beside services."""
        form = self.context.form
        services = {name: self._whole(self.services[name], stack.services.get(name)) for name in self._enabled(stack)}
        services = _selected(services, form.services)
        jobs = self._jobs(document)
        if form.consistency:
            self._check(services, document)
        used = _used(list(services.values()))
        if "default" in used["networks"] or any("default" in job.get("networks", ()) for job in jobs.values()):
            plain: Plain = {"name": f"{stack.name}_default"} | ({"ipam": {}} if form.interpolate else {})
            self.resources["networks"].setdefault("default", plain)
        result: Plain = {"name": stack.name, "services": services}
        if jobs:
            result["jobs"] = jobs
        for section in SECTIONS:
            every = self.resources[section]
            found = {name: made for name, made in every.items() if name in used[section] or form.every}
            if found:
                result[section] = found
        models = {name: made for name, made in self.models.items() if name in used["models"]}
        if form.models and models:
            result["models"] = models
        extensions = {key: to_plain(node) for key, node in document.entries.items() if key.startswith("x-")}
        escaped: Plain = _escaped(result | extensions) if form.interpolate else result | extensions
        return escaped

    def _enabled(self, stack: Stack) -> list[str]:
        """The services that were not left out for their profiles."""
        if self.context.form.every:
            return list(self.services)
        return [name for name in self.services if name in stack.services or name in self.context.providers]

    def _whole(self, plain: Plain, parsed: Service | None) -> Plain:
        """A service with its environment and labels complete, its networks and its implied dependencies."""
        form = self.context.form
        written = not (form.env_files and form.interpolate)
        result = {key: value for key, value in plain.items() if written or key != "env_file"}
        if parsed is not None and not written:
            result.pop("environment", None)
            result.pop("labels", None)
            result |= {"environment": dict(parsed.environment)} if parsed.environment else {}
            result |= {"labels": dict(parsed.labels)} if parsed.labels else {}
        if not form.interpolate:  # what nobody wrote
            result = {key: value for key, value in result.items() if value is not None or key in ("networks", "models")}
        if not form.normalize:
            return result | ({"depends_on": _written_dependencies(result)} if "depends_on" in result else {})
        _networked(result)
        if "scale" in result and "deploy" in result and "replicas" not in result["deploy"]:
            result["deploy"] = result["deploy"] | {"replicas": result["scale"]}
        needed = _dependencies(result)
        if needed:
            result["depends_on"] = needed
        if "pre_start" in result:
            steps = [_step(step, result, plain) for step in result["pre_start"]]
            result["pre_start"] = steps
        return result

    def _check(self, services: dict[str, Plain], document: Mapping) -> None:
        """What can only be said of services together, beyond what `validate` says of all stacks."""
        models = document.get("models")
        known = models.entries if isinstance(models, Mapping) else {}
        for name, plain in services.items():
            self._check_limits(name, plain)
            for other in plain.get("depends_on", {}):
                if other not in self.services:
                    self._wrong(name, "depends_on", "unknown-reference", f"no service {other!r} in the stack")
            for model in plain.get("models", ()):
                if model not in known:
                    self._wrong(name, "models", "unknown-reference", f"no model {model!r} in the stack")
            build = plain.get("build", {})
            platform = plain.get("platform")
            if platform and build.get("platforms") and platform not in build["platforms"]:
                self._wrong(name, "platform", "bad-value", f"`platform` {platform} is not among `build.platforms`")
            for context in build.get("additional_contexts", {}).values():
                other = context.removeprefix("service:")
                if other != context and "build" not in self.services.get(other, {}):
                    self._wrong(name, "build", "unknown-reference", f"{other} is no service with a `build`")

    def _check_limits(self, name: str, plain: Plain) -> None:
        """A limit stands in one place, or is the same in both; where `deploy` has limits, it has them all."""
        given = plain.get("deploy", {}).get("resources", {})
        for key, section, part in _LIMITS:
            if plain.get(key) and section in given and given[section].get(part) != plain[key]:
                self._wrong(name, key, "bad-value", f"`{key}` and `deploy.resources.{section}.{part}` differ")

    def _wrong(self, name: str, key: str, reason: str, message: str) -> None:
        tree = self.trees[name]
        mark = tree.keys.get(key)
        self.context.report(StackError(reason, f"service {name}: {message}", at=mark.place if mark else tree.place))

    def _jobs(self, document: Mapping) -> dict[str, Plain]:
        section = document.get("jobs")
        result: dict[str, Plain] = {}
        for name, tree in section.entries.items() if isinstance(section, Mapping) else ():
            if name in self.services:
                message = f"{name!r} is a service and a job"
                self.context.report(StackError("name-collision", message, at=tree.place))
            taken = self._taken(result, name, lambda tree=tree: service.job(tree, self.context), tree)
            if taken and self.context.form.normalize:
                _networked(result[name])
        return result


def _selected(services: dict[str, Plain], names: Collection[str]) -> dict[str, Plain]:
    """The named services and what they depend on; all where none is named."""
    if not names:
        return services
    wanted, rest = set[str](), list(names)
    while rest:
        name = rest.pop()
        if name in services and name not in wanted:
            wanted.add(name)
            rest.extend(services[name].get("depends_on", ()))
    return {name: plain for name, plain in services.items() if name in wanted}


def _networked(plain: Plain) -> None:
    """A container without a network mode is on the default network, unless it names others."""
    if "network_mode" not in plain and "provider" not in plain:
        plain["networks"] = plain.get("networks") or {"default": None}


def _step(step: Plain, owner: Plain, written: Plain) -> Plain:
    """A `pre_start` step: what it does not say itself is its service's."""
    inherited = {key: value for key, value in owner.items() if key in CONTAINER and key not in _NOT_IN_STEPS}
    if "env_file" in written:
        inherited["env_file"] = written["env_file"]
    result = inherited | step
    for key in ("environment", "labels", "annotations", "sysctls"):
        if key in inherited and key in step:
            result[key] = inherited[key] | step[key]
    return result


def _written_dependencies(plain: Plain) -> dict[str, Plain]:
    """`depends_on`; a dependency is required unless it says otherwise."""
    return {
        name: {**entry, "required": entry.get("required", True)} for name, entry in plain.get("depends_on", {}).items()
    }


def _dependencies(plain: Plain) -> dict[str, Plain]:
    """`depends_on` with what links, shared namespaces and shared volumes imply."""
    result = _written_dependencies(plain)
    modes = (plain.get(key, "") for key in ("network_mode", "pid", "ipc"))
    shared = [mode.removeprefix("service:") for mode in modes if mode.startswith("service:")]
    shared += [link.partition(":")[0] for link in plain.get("links", ())]
    for name in shared:
        result.setdefault(name, {"condition": "service_started", "restart": True, "required": True})
    for source in plain.get("volumes_from", ()):
        if not source.startswith("container:"):
            result.setdefault(source.partition(":")[0], {"condition": "service_started", "required": True})
    return result


def _used(containers: list[Plain]) -> MappingType[str, set[str]]:
    """Section → names that containers use."""
    result: dict[str, set[str]] = {section: set() for section in (*SECTIONS, "models")}
    for plain in containers:
        for one in (plain, *plain.get("pre_start", ())):
            result["networks"].update(one.get("networks", ()))
            result["models"].update(one.get("models", ()))
            result["volumes"].update(
                mount["source"] for mount in one.get("volumes", ()) if mount["type"] == "volume" and "source" in mount
            )
            for section in ("configs", "secrets"):
                result[section].update(item.get("source", "") for item in one.get(section, ()))
        result["secrets"].update(item.get("source", "") for item in plain.get("build", {}).get("secrets", ()))
    return result


def _escaped(value: Any) -> Any:
    """Text that reads back as itself."""
    if isinstance(value, str):
        return value.replace("$", "$$") if "$" in value else value
    if isinstance(value, dict):
        return {_escaped(key): _escaped(child) for key, child in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list) else value
