"""Stacks and what exists of them, in a line or two: planning is tested as data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stackfile.engines.strategies import TABLE
from stackfile.model.container import ContainerRecord, ContainerSpec, ContainerState, NetworkRecord, VolumeRecord
from stackfile.model.image import BuildEvaluation, StepStatus
from stackfile.model.observed import Observed, Project, UpOptions
from stackfile.model.plan import Action, Plan
from stackfile.model.stack import (
    Attachment,
    ConfigResource,
    Dependency,
    Generate,
    ImageResource,
    NetworkResource,
    SecretResource,
    Service,
    Stack,
    Step,
    VolumeResource,
)
from stackfile.reconcile import plan, record
from stackfile.reconcile.context import Context
from stackfile.reconcile.services import specs

IMAGE = "sha256:" + "1" * 64
OTHER_IMAGE = "sha256:" + "2" * 64
NOW = "2026-11-24T03:20:11Z"
TOKEN = "hmac:" + "7" * 64


def service(name: str, **fields: Any) -> Service:
    """A service of the stack image `app` on the default network."""
    defaults: dict[str, Any] = {
        "image": "app",
        "image_is_stack_image": True,
        "networks": (Attachment(network="default"),),
    }
    return Service(name=name, **{**defaults, **fields})


def stack(*services: Service, **fields: Any) -> Stack:
    """A stack of these services with an image, a network, and what `fields` say."""
    base = Stack(
        name="p",
        environment="dev",
        directory="/srv/p",
        files=("/srv/p/stack.yaml",),
        images={"app": ImageResource(name="app", steps=(Step(kind="host"),), tags=("docker.io/p/app:latest",))},
        services={item.name: item for item in services},
        networks={"default": NetworkResource(name="default", full_name="p_default")},
    )
    return replace(base, **fields)


def waiting_for(**conditions: str) -> dict[str, Dependency]:
    return {name: Dependency(condition=f"service_{condition}") for name, condition in conditions.items()}


def config(name: str, content: str = "x") -> dict[str, ConfigResource]:
    return {name: ConfigResource(name=name, content=content)}


def secret(name: str) -> dict[str, SecretResource]:
    return {name: SecretResource(name=name, generate=Generate())}


def volume(name: str, **fields: Any) -> dict[str, VolumeResource]:
    return {name: VolumeResource(name=name, full_name=f"p_{name}", **fields)}


def key(content: str) -> str:
    return f"hmac:{content}"


def keys(wanted: Stack, **more: str) -> dict[str, str]:
    """HMACs of a stack's contents; generated secrets exist."""
    found = {f"config.{name}": key(item.content) for name, item in wanted.configs.items() if item.content is not None}
    for name, item in wanted.secrets.items():
        found[f"secret.{name}"] = TOKEN if item.content is None else key("".join(map(str, item.content)))
    return {**found, **more}


def evaluation(name: str = "app", image: str = IMAGE, reason: str = "") -> BuildEvaluation:
    """Fresh, or with one step that has to run for `reason`."""
    step = StepStatus(index=1, kind="host", text="host", cached=not reason, reason=reason)
    return BuildEvaluation(name=name, image="" if reason else image, steps=(step,))


def nothing(wanted: Stack, **fields: Any) -> Observed:
    """Before the first `up`: nothing built, nothing generated."""
    known = {name: "" if name.startswith("secret.") else value for name, value in keys(wanted).items()}
    images = {name: evaluation(name, reason="first build") for name in wanted.images}
    return replace(Observed(project=None, images=images, keys=known), **fields)


def applied(before: Stack, **fields: Any) -> Observed:
    """`before` is up and everything runs; `fields` say what has changed since."""
    contents = keys(before)
    found = Observed(
        project=Project(
            name=before.name,
            directory=before.directory,
            environment=before.environment,
            stack=record.without_contents(before),
            generation=1,
            created=NOW,
            updated=NOW,
            keys=contents,
        ),
        containers=tuple(containers(before, contents)),
        networks=tuple(
            NetworkRecord(
                id=f"id-{item.full_name}",
                name=item.full_name,
                driver=item.driver,
                subnets=item.subnets or ("10.89.0.0/24",),
                labels={"com.docker.compose.project": before.name, "com.docker.compose.network": item.name},
            )
            for item in before.networks.values()
        ),
        volumes=tuple(
            VolumeRecord(
                name=item.full_name,
                driver=item.driver,
                labels={"com.docker.compose.project": before.name, "com.docker.compose.volume": item.name},
            )
            for item in before.volumes.values()
        ),
        images={name: evaluation(name) for name in before.images},
        references={item.image: IMAGE for item in before.services.values() if not item.image_is_stack_image},
        keys=contents,
    )
    return replace(found, **fields)


def containers(before: Stack, contents: dict[str, str]) -> list[ContainerRecord]:
    images = {name: evaluation(name) for name in before.images}
    references = {item.image: IMAGE for item in before.services.values() if not item.image_is_stack_image}
    observed = Observed(project=None, images=images, references=references, keys=contents)
    context = Context.of(before, observed, UpOptions(), TABLE)
    return [container(spec) for name in before.services for spec in specs(context, name).values()]


def container(spec: ContainerSpec, **state: Any) -> ContainerRecord:
    """A running container, its name as id."""
    defaults: dict[str, Any] = {"status": "running", "pid": 42, "started_at": NOW}
    return ContainerRecord(id=spec.name, spec=spec, state=ContainerState(**{**defaults, **state}), created=NOW)


def stopped(observed: Observed, name: str, **state: Any) -> Observed:
    """The same, with one container in another state."""
    changed = tuple(
        replace(item, state=ContainerState(**{"status": "exited", "pid": 0, **state})) if item.id == name else item
        for item in observed.containers
    )
    return replace(observed, containers=changed)


def make(wanted: Stack, observed: Observed, **options: Any) -> Plan:
    return plan.make(wanted, observed, UpOptions(**options), TABLE)


def told(made: Plan) -> list[str]:
    """A plan in short: `recreate service.web[1,2]`, in order."""
    return [_short(action) for action in made.actions]


def _short(action: Action) -> str:
    indices = ",".join(str(instance.index) for instance in action.instances)
    return f"{action.action} {action.address}" + (f"[{indices}]" if indices else "")


def changed(made: Plan, address: str) -> dict[str, str]:
    """Path → strategy of all changes of a resource."""
    return {
        change.path: change.strategy
        for action in made.actions
        if action.address == address
        for change in action.changes
    }
