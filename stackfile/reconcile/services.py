"""What is to be done about one service: each replica gets a verdict, equal verdicts become one action. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from stackfile import wire
from stackfile.errors import ActionError, NotFoundError, UsageError
from stackfile.model.container import ContainerRecord, ContainerSpec
from stackfile.model.observed import Drift
from stackfile.model.plan import Action, Cause, Change, Disruption, Instance, Note
from stackfile.model.stack import SECOND, Service
from stackfile.reconcile import diff
from stackfile.reconcile import origins as places
from stackfile.reconcile.context import Context, Decision, number
from stackfile.reconcile.instantiate import instantiate
from stackfile.reconcile.strategy import IN_PLACE, NONE, RECREATE, RESTART, strongest

DEFAULT_GRACE = 10
_LEFTOVER = "leftover"
_KINDS = (_LEFTOVER, "create", "recreate", "restart", "update", "start", "remove")
"""Order in which the actions of one service are done. What an interrupted update left is removed first, so that two
containers of one place never run together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is to be done with one replica. `action` is one of `_KINDS`, or keep."""

    index: int
    action: str
    container: ContainerRecord | None = None
    spec: ContainerSpec | None = None
    changes: tuple[Change, ...] = ()
    cause: Cause | None = None


@dataclass(slots=True)
class Replicas:
    """Containers of a service by index; `leftovers` hold a place twice, `surplus` are beyond the wanted number."""

    current: dict[int, ContainerRecord] = field(default_factory=dict)
    surplus: list[ContainerRecord] = field(default_factory=list)
    leftovers: list[ContainerRecord] = field(default_factory=list)


def specs(context: Context, name: str) -> dict[int, ContainerSpec]:
    """The wanted containers of a service. Raises UsageError when `--scale` asks for what templates did not make."""
    service = context.stack.services[name]
    count = context.replicas(service)
    if service.variants and count > len(service.variants):
        raise UsageError("usage", f"service {name}: its {len(service.variants)} replicas differ, it cannot scale here")
    return {index: instantiate(context.stack, name, index, context.knowledge) for index in range(1, count + 1)}


def decide(context: Context, name: str) -> Decision:
    """Compare the wanted replicas of a service with its containers. Raises NotFoundError (`image-not-found`)."""
    service = context.stack.services[name]
    _check_platform(context, service)
    _check_image(context, service)
    wanted = context.specs[name] = specs(context, name)
    replicas = sort(context.containers.get(name, []), wanted)
    verdicts = [_judge(context, service, index, spec, replicas.current.get(index)) for index, spec in wanted.items()]
    verdicts += [_surplus(context, service, record) for record in reversed(replicas.surplus)]
    verdicts += [_leftover(record) for record in replicas.leftovers]
    decision = Decision(address=f"service.{name}", actions=_actions(service, verdicts, len(wanted)))
    decision.notes = _notes(context, service, verdicts, replicas)
    decision.unknown = _unknown(verdicts)
    for action in decision.actions:
        context.note(action)
    return decision


_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def _check_platform(context: Context, service: Service) -> None:
    """`platform` may name the machine's alone. Raises ActionError (`platform-missing`)."""
    if not service.platform:
        return
    found = context.observed.architecture
    own = _ARCHITECTURES.get(found, found)
    if not set(service.platform.split("/")[:2]) <= {"linux", found, own}:
        origin = places.find(context.stack.origins, f"service.{service.name}", "platform")
        message = f"service {service.name} is for {service.platform}, this machine is linux/{own}"
        raise ActionError("platform-missing", message, at=origin.at if origin else None)


def _check_image(context: Context, service: Service) -> None:
    """An image of the stack is built when it is missing; any other must be here, or be pulled."""
    if service.image_is_stack_image or service.image in context.pulls or context.knowledge.image(service):
        return
    origin = places.find(context.stack.origins, f"service.{service.name}", "image")
    raise NotFoundError("image", service.image, reason="image-not-found", at=origin.at if origin else None)


def replicas_of(service: Service) -> range:
    """Indices of the replicas that a service was applied with."""
    return range(1, service.replicas + 1)


def sort(containers: Iterable[ContainerRecord], wanted: dict[int, ContainerSpec]) -> Replicas:
    """Tell replicas from what an interrupted update or a larger scale left behind."""
    result = Replicas()
    for record in sorted(containers, key=lambda record: (number(record), record.created)):
        index = number(record)
        if index not in wanted:
            result.surplus.append(record)
            continue
        other = result.current.get(index)
        if other is None:
            result.current[index] = record
            continue
        better, worse = sorted((other, record), key=lambda item: _fitness(item, wanted[index]), reverse=True)
        result.current[index] = better
        result.leftovers.append(worse)
    return result


def _fitness(record: ContainerRecord, spec: ContainerSpec) -> tuple[bool, bool]:
    return record.spec.name == spec.name, record.state.running


# ---------------------------------------------------------------- verdicts


def _judge(
    context: Context, service: Service, index: int, spec: ContainerSpec, record: ContainerRecord | None
) -> Verdict:
    if record is None:
        return Verdict(index=index, action="create", spec=spec, cause=_lost(context, service.name, index))
    if context.options.no_recreate:
        changes: tuple[Change, ...] = ()
    else:
        changes = _all_changes(context, service, spec, record)
    cause: Cause | None = None
    if context.options.force_recreate:
        action, cause = RECREATE, Cause(kind="option", detail="--force-recreate")
    else:
        action = _action(strongest(change.strategy for change in changes), bool(changes))
    if action in ("keep", "update", RESTART) and (stopped := _stopped(context, service, record)):
        action, cause = "start", Cause(kind="drift", detail=stopped)
    return Verdict(index=index, action=action, container=record, spec=spec, changes=changes, cause=cause)


def _lost(context: Context, name: str, index: int) -> Cause | None:
    """Why a container is made anew that was there once."""
    applied = context.observed.project.stack if context.observed.project else None
    before = applied.services.get(name) if applied else None
    if before is None or index not in replicas_of(before):
        return None
    return Cause(kind="drift", detail="it was removed")


def _action(way: str, changed: bool) -> str:
    if way in (RECREATE, RESTART):
        return way
    return "update" if changed else "keep"


def _all_changes(
    context: Context, service: Service, spec: ContainerSpec, record: ContainerRecord
) -> tuple[Change, ...]:
    address = f"service.{service.name}"
    found = diff.changes(
        record.spec, spec, context.table, context.stack.origins, address, image_reason(context, service.image)
    )
    return (*found, *_dependency_changes(context, service), *_drift_changes(context, record))


def image_reason(context: Context, image: str) -> str:
    """Why a stack image differs: the first step that is not cached, its base's before its own."""
    evaluation = context.observed.images.get(image)
    resource = context.stack.images.get(image)
    if resource is not None and resource.base_is_stack_image and (reason := image_reason(context, resource.base)):
        return reason
    missed = next((step for step in evaluation.steps if not step.cached), None) if evaluation else None
    return f"{missed.kind}: {missed.reason}" if missed else ""


def _dependency_changes(context: Context, service: Service) -> Iterable[Change]:
    """Who shares something with a replaced container follows it; so does who uses a replaced or emptied volume."""
    needed = _shared_services(service)
    needed |= {f"volume.{mount.source}": "mounts" for mount in service.mounts if mount.type == "volume"}
    for address, field_name in needed.items():
        replaced = address in context.recreated
        if replaced or address in context.emptied:
            yield Change(
                path=f"/{field_name}",
                before=address,
                after=address,
                strategy=RECREATE if replaced else RESTART,
                cause=Cause(kind="dependency", detail=f"{address} is replaced" if replaced else f"{address} was lost"),
            )
    for name, dependency in service.depends_on.items():
        address = f"service.{name}"
        if dependency.restart and address in context.restarted:
            yield Change(
                path=f"/depends_on/{diff.escape(name)}",
                before=address,
                after=address,
                strategy=RESTART,
                cause=Cause(kind="dependency", detail=f"{address} begins anew"),
            )


def _shared_services(service: Service) -> dict[str, str]:
    """Services whose namespaces or volumes it shares → the field that says so."""
    modes = {"network_mode": service.network_mode, "pid_mode": service.pid_mode, "ipc_mode": service.ipc_mode}
    shared = {f"service.{mode[8:]}": key for key, mode in modes.items() if mode.startswith("service:")}
    volumes = (source.partition(":")[0] for source in service.volumes_from if not source.startswith("container:"))
    return {f"service.{name}": "volumes_from" for name in volumes} | shared


def _drift_changes(context: Context, record: ContainerRecord) -> Iterable[Change]:
    """Kernel facts of a running container that are not as applied; that it does not run is judged apart."""
    if not record.state.running:
        return
    for item in context.observed.drift:
        if item.container == record.id:
            yield drift_change(item)


def drift_change(item: Drift) -> Change:
    return Change(
        path=f"/{diff.escape(item.field)}",
        before=item.actual,
        after=item.expected,
        strategy=IN_PLACE,
        cause=Cause(kind="drift", detail=item.place),
    )


def _stopped(context: Context, service: Service, record: ContainerRecord) -> str:
    """Why a container that should run does not; "" where it runs, or has done its work and ended well."""
    return "" if context.options.no_start else ended(context.completes, service.name, record)


def ended(one_shots: set[str], name: str, record: ContainerRecord) -> str:
    """Why a container does not run; "" where it does, or has done its work and ended well."""
    state = record.state
    if state.running:
        return ""
    if state.status == "created":
        return "created, never started"
    if completed(one_shots, name, record):
        return ""
    if state.stopped_by_user:
        return "stopped"
    return f"exited {state.exit_status.words}" if state.exit_known else "ended unobserved"


def completed(one_shots: Iterable[str], name: str, record: ContainerRecord) -> bool:
    """Whether a container ended with 0 as it was meant to: nobody stopped it and its policy lets it rest."""
    state = record.state
    if state.status != "exited" or state.exit_code != 0 or not state.exit_known:
        return False
    resting = record.spec.restart.name in ("no", "on-failure") and not state.stopped_by_user
    return name in one_shots or resting


def _surplus(context: Context, service: Service, record: ContainerRecord) -> Verdict:
    scaled = service.name in context.options.scale
    origin = places.find(context.stack.origins, f"service.{service.name}", "replicas")
    cause = Cause(kind="option", detail="--scale") if scaled else Cause(kind="file", origin=origin, detail="replicas")
    return Verdict(index=number(record), action="remove", container=record, cause=cause)


def _leftover(record: ContainerRecord) -> Verdict:
    cause = Cause(kind="drift", detail="left over from an interrupted update")
    return Verdict(index=number(record), action=_LEFTOVER, container=record, cause=cause)


# ---------------------------------------------------------------- actions and notes


def _actions(service: Service, verdicts: list[Verdict], count: int) -> list[Action]:
    grouped = {kind: [verdict for verdict in verdicts if verdict.action == kind] for kind in _KINDS}
    return [_merge(service, kind, items, count) for kind, items in grouped.items() if items]


def _merge(service: Service, kind: str, verdicts: list[Verdict], count: int) -> Action:
    """One action for replicas with the same verdict; their differing changes stand side by side."""
    first = verdicts[0]
    changes: list[Change] = []
    for verdict in verdicts:
        changes += [change for change in verdict.changes if change not in changes]
    return Action(
        id="",
        address=f"service.{service.name}",
        action="remove" if kind == _LEFTOVER else kind,
        instances=tuple(
            Instance(index=item.index, container=item.container.id if item.container else "") for item in verdicts
        ),
        changes=tuple(changes),
        cause=next((item.cause for item in verdicts if item.cause), None),
        disruption=Disruption() if kind == _LEFTOVER else _disruption(service, kind, count),
        before_spec=wire.spec_hash(first.container.spec) if first.container else "",
        after_spec=wire.spec_hash(first.spec) if first.spec else "",
    )


def _disruption(service: Service, kind: str, count: int) -> Disruption:
    if kind not in (RECREATE, RESTART, "remove"):
        return Disruption()
    grace = service.stop_grace_period
    # Replicas are replaced in batches, each healthy before the next: somebody always answers.
    batch = service.update.parallelism or count
    beside = kind == RECREATE and service.update.order == "start-first"
    rolls = kind != "remove" and service.healthcheck is not None and (count > batch or beside)
    return Disruption(
        interrupts=not rolls,
        grace_seconds=DEFAULT_GRACE if grace is None else grace // SECOND,
        loses_writable_layer=kind != RESTART,
    )


def _unknown(verdicts: list[Verdict]) -> list[str]:
    """Fields of existing containers that are compared for real once their value is known."""
    found = [change.path for item in verdicts for change in item.changes if change.after == diff.UNKNOWN]
    return list(dict.fromkeys(found))


def _notes(context: Context, service: Service, verdicts: list[Verdict], replicas: Replicas) -> list[Note]:
    address = f"service.{service.name}"
    notes = []
    for verdict in verdicts:
        record, spec = verdict.container, verdict.spec
        if record is None or spec is None or verdict.action == RECREATE:
            continue
        limit = spec.resources.memory
        if limit and limit != record.spec.resources.memory and record.memory > limit:
            notes.append(
                Note(
                    code="memory-below-use",
                    severity="warning",
                    address=address,
                    path="/resources/memory",
                    message=f"{spec.name} uses {record.memory} bytes now, more than the new limit of {limit}",
                    origin=places.find(context.stack.origins, address, "resources/memory"),
                )
            )
    scaled = bool(replicas.current) and len(replicas.current) + len(replicas.surplus) != context.replicas(service)
    if service.counts_replicas and scaled:
        message = f"{service.name} uses replica.count: scaling changes every replica"
        notes.append(Note(code="scaling-changes-all", severity="info", address=address, message=message))
    if any(change.strategy == NONE for verdict in verdicts for change in verdict.changes):
        message = f"{service.name} keeps running with the old content (on_change: none)"
        notes.append(Note(code="content-not-noticed", severity="info", address=address, message=message))
    return notes
