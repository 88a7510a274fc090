"""A service's replica as the container it should be. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import stackfile
from stackfile import wire
from stackfile.errors import ActionError
from stackfile.model import builtin, labels
from stackfile.model.container import ContainerSpec, FileMount
from stackfile.model.observed import Observed
from stackfile.model.stack import Attachment, FileRef, Mount, SecretRef, Service, Stack

_COPIED = (
    "entrypoint", "command", "environment", "user", "working_dir", "hostname", "domainname", "ports", "expose",
    "depends_on", "healthcheck", "restart", "resources", "stop_signal", "stop_grace_period", "tty", "stdin_open",
    "init", "read_only", "privileged", "cap_add", "cap_drop", "security_opt", "group_add", "shm_size", "ulimits",
    "extra_hosts", "dns", "dns_search", "dns_options", "sysctls", "oom_score_adj", "annotations", "log", "uts_mode",
    "userns_mode", "cgroup_mode", "devices", "device_rules", "platform", "post_start", "pre_stop",
)  # fmt: skip
"""Fields that mean the same in a service and in a container."""


@dataclass(slots=True, kw_only=True)
class Knowledge:
    """What a stack file cannot say: ids of images and HMACs of contents. Grows while a plan is applied.

    An image or key that is "" or missing will be known once it was built or generated.
    """

    images: dict[str, str] = field(default_factory=dict)
    """Stack image → image id."""
    references: dict[str, str] = field(default_factory=dict)
    """Reference → image id."""
    keys: dict[str, str] = field(default_factory=dict)
    """As in `Observed.keys`."""

    @classmethod
    def of(cls, observed: Observed) -> Knowledge:
        return cls(
            images={name: evaluation.image for name, evaluation in observed.images.items()},
            references=dict(observed.references),
            keys=dict(observed.keys),
        )

    def image(self, service: Service) -> str:
        return (self.images if service.image_is_stack_image else self.references).get(service.image, "")


def container_name(project: str, service: Service, index: int) -> str:
    return service.container_name or f"{project}-{service.name}-{index}"


def instantiate(stack: Stack, name: str, index: int, knowledge: Knowledge) -> ContainerSpec:
    """The container of replica `index` (from 1) of service `name`."""
    service = stack.services[name].replica(index)
    refs = [value.secret for value in service.environment.values() if isinstance(value, SecretRef)]
    mode = _built_in(stack, service)
    spec = ContainerSpec(
        name=container_name(stack.name, service, index),
        image=knowledge.image(service),
        image_name=_image_name(stack, service),
        secret_keys={secret: knowledge.keys.get(f"secret.{secret}", "") for secret in refs},
        mounts=tuple(_mount(stack, mount) for mount in service.mounts),
        files=tuple(_file(service, index, ref, knowledge.keys) for ref in service.files),
        networks=() if mode else _attachments(stack, service, index),
        network_mode=mode or _shared(stack, service.network_mode),
        pid_mode=_shared(stack, service.pid_mode),
        ipc_mode=_shared(stack, service.ipc_mode),
        volumes_from=tuple(_volumes_from(stack, source) for source in service.volumes_from),
        **{key: getattr(service, key) for key in _COPIED},
    )
    identity = _labels(stack, service, index, spec.image)
    spec = replace(spec, labels={**service.labels, **identity})
    return replace(spec, labels={**spec.labels, labels.CONFIG_HASH: wire.spec_hash(spec).removeprefix("sha256:")})


def _image_name(stack: Stack, service: Service) -> str:
    """What the engine knows the image by: a stack image has a name of its own in the stack only."""
    image = stack.images.get(service.image) if service.image_is_stack_image else None
    tag = next(iter(image.tags), f"{stack.name}/{service.image}") if image else service.image
    return tag.removeprefix("docker.io/").removeprefix("library/").removesuffix(":latest")


def file_key_name(service: str, index: int, ref: FileRef) -> str:
    """Name in `Observed.keys` of the content that a file of a replica has."""
    if ref.content is not None:
        return f"{ref.kind}.{ref.source}@{service}/{index}"
    return f"{ref.kind}.{ref.source}"


def _file(service: Service, index: int, ref: FileRef, keys: Mapping[str, str]) -> FileMount:
    name = file_key_name(service.name, index, ref)
    return FileMount(
        kind=ref.kind,
        name=name.partition(".")[2],
        target=ref.target,
        key=keys.get(name, ""),
        uid=ref.uid,
        gid=ref.gid,
        mode=ref.mode,
        on_change=ref.on_change,
    )


def _mount(stack: Stack, mount: Mount) -> Mount:
    if mount.type == "volume" and mount.source in stack.volumes:
        return replace(mount, source=stack.volumes[mount.source].full_name)
    return mount


def _attachments(stack: Stack, service: Service, index: int) -> tuple[Attachment, ...]:
    """Networks by their names in the engine; each knows the container by its own and its service's name."""
    own = (container_name(stack.name, service, index), service.name)
    return tuple(
        replace(
            attachment,
            network=stack.networks[attachment.network].full_name,
            aliases=tuple(dict.fromkeys((*own, *attachment.aliases))),
        )
        for attachment in service.networks
    )


def _built_in(stack: Stack, service: Service) -> str:
    """The engine's own network (host, none, bridge) where it is the only one, which is then a mode of the container.

    ActionError (`bad-request`) where host or none is one of several.
    """
    found = [stack.networks[attachment.network] for attachment in service.networks]
    names = [network.full_name for network in found if network.external and network.full_name in builtin.DRIVERS]
    if len(found) == len(names) == 1:
        return names[0]
    if alone := [name for name in names if builtin.DRIVERS[name] != "bridge"]:
        message = f"service {service.name} is in the network {alone[0]} and in others"
        raise ActionError("bad-request", message, cause=f"{alone[0]} excludes all others")
    return ""


def _shared(stack: Stack, mode: str) -> str:
    """`service:NAME` is the container of its first replica, by name: the name outlives a recreate."""
    kind, _, target = mode.partition(":")
    if kind == "service":
        return f"container:{container_name(stack.name, stack.services[target], 1)}"
    return mode


def _volumes_from(stack: Stack, source: str) -> str:
    """`SERVICE[:ro]` by the container of its first replica."""
    if source.startswith("container:"):
        return source.removeprefix("container:")
    name, separator, mode = source.partition(":")
    return f"{container_name(stack.name, stack.services[name], 1)}{separator}{mode}"


def _labels(stack: Stack, service: Service, index: int, image: str) -> dict[str, str]:
    """Compose's labels, so that Compose's tools see the project as theirs, and ours."""
    depends = (
        f"{name}:{dependency.condition}:{str(dependency.restart).lower()}"
        for name, dependency in service.depends_on.items()
    )
    identity = {
        labels.PROJECT: stack.name,
        labels.SERVICE: service.name,
        labels.NUMBER: str(index),
        labels.ONEOFF: "False",
        labels.CONFIG_FILES: ",".join(stack.files),
        labels.WORKING_DIR: stack.directory,
        labels.VERSION: stackfile.__version__,
        labels.DEPENDS_ON: ",".join(depends),
        labels.IMAGE: image,
        labels.ENVIRONMENT: stack.environment,
        labels.GROUP: next((group for group, members in stack.groups.items() if service.name in members), ""),
    }
    optional = (labels.ENVIRONMENT, labels.GROUP)
    return {key: value for key, value in identity.items() if value or key not in optional}
