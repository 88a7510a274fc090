"""Plans: every resource decided, ordered by the graph. Pure: the same arguments give the same plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stackfile import graph as graphs
from stackfile import wire
from stackfile.model import labels
from stackfile.model.observed import Observed, UpOptions
from stackfile.model.plan import Action, Fingerprint, Note, Plan, Summary
from stackfile.model.stack import Origin, Stack
from stackfile.reconcile import facts, guards, orphans, ports, pulls, record, resources, selection, services
from stackfile.reconcile.context import Context, Decision

_COUNTED = {
    "create": "create",
    "generate": "create",
    "update": "update",
    "restart": "restart",
    "recreate": "recreate",
    "start": "start",
    "stop": "stop",
    "remove": "remove",
}


@dataclass(slots=True)
class Draft:
    """A plan in the making: actions with their ids, by address."""

    actions: list[Action] = field(default_factory=list)
    by_address: dict[str, list[str]] = field(default_factory=dict)
    unchanged: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    unknown: list[tuple[str, str]] = field(default_factory=list)

    def add(self, decision: Decision, after: Iterable[str]) -> None:
        """Take a decision in: its first action follows `after`, each next one the one before."""
        ids = tuple(dict.fromkeys(after))
        for action in decision.actions:
            identity = f"a{len(self.actions)}"
            self.actions.append(replace(action, id=identity, after=ids))
            self.by_address.setdefault(decision.address, []).append(identity)
            ids = (identity,)
        if not decision.actions:
            self.unchanged.append(decision.address)
        self.notes += decision.notes
        self.unknown += [(decision.address, path) for path in decision.unknown]


def make(
    stack: Stack,
    observed: Observed,
    options: UpOptions,
    table: Mapping[str, str],
    *,
    engine: Mapping[str, str] | None = None,
    created: str = "",
    generator: str = "",
) -> Plan:
    """The plan that turns `observed` into `stack`. `table` is the engine's change table, `created` RFC 3339.

    Raises RefusedError (`environment-switch`, `directory-differs`, `needs-yes`), UsageError (`no-such-service`),
    NotFoundError (`image-not-found`, `not-found`).
    """
    guards.check(stack, observed, options)
    context = Context.of(stack, observed, options, table)
    chosen = select(context)
    draft = Draft()
    wanted = [node for node in graphs.order(context.graph) if node in chosen]
    removals = orphans.decide(context) if options.remove_orphans else []
    for decision in removals:
        if decision.address.startswith("service."):
            draft.add(decision, ())
    freed = list(draft.by_address.values())
    for decision in pulls.decide(context, chosen):
        draft.add(decision, ())
    for node in wanted:
        draft.add(_decide(context, node), [*_after(context, draft, node), *_freed(context, node, freed)])
    for decision in removals:
        if not decision.address.startswith("service."):
            draft.add(decision, [action.id for action in draft.actions])
    draft.actions = ports.in_turn(context, draft.actions)
    kept = [] if options.remove_orphans else orphans.kept(context)
    desired = {node: _desired_hash(context, node) for node in wanted}
    observed_facts = facts.of(context, facts.concerned(context, draft.actions))
    return Plan(
        generator=generator,
        created=created,
        project=stack.name,
        environment=stack.environment,
        engine=dict(engine or {}),
        options=shown_options(options),
        fingerprint=_fingerprint(desired, observed_facts, context),
        actions=tuple(draft.actions),
        unchanged=tuple(draft.unchanged),
        unknown=tuple(_unknown(context, draft)),
        kept=tuple(kept),
        notes=(*draft.notes, *orphans.notes(kept), *_ignored(stack, chosen)),
        desired={"resources": desired},
        observed=observed_facts,
        summary=summarize(context, draft.actions, draft.unchanged),
    )


def _ignored(stack: Stack, chosen: set[str]) -> list[Note]:
    """What the file asks for and no engine here does."""
    return [
        Note(
            code="SF2103",
            severity="warning",
            address=item.address,
            path=item.path,
            message=f"{item.path[1:].replace('/', '.')} has no effect" + (f": {item.why}" if item.why else ""),
            origin=Origin(item.at),
        )
        for item in stack.ignored
        if item.address in chosen or item.address == "stack"
    ]


def select(context: Context) -> set[str]:
    """Addresses that the plan is about: the chosen services and what they need."""
    options, stack = context.options, context.stack
    names = selection.expand(options.services, stack.services, stack.groups)
    return selection.closure(context.graph, names, no_deps=options.no_deps)


def shown_options(options: UpOptions) -> dict[str, Any]:
    """Options as a plan shows them: those that decide what is planned, and any other that was set."""
    always = {
        "services": list(options.services),
        "remove_orphans": options.remove_orphans,
        "force_recreate": options.force_recreate,
    }
    return {**always, **wire.compact(options)}


def summarize(context: Context, actions: Sequence[Action], unchanged: Sequence[str]) -> Summary:
    """Counts by kind. A build counts as create for an image that was never applied, else as update."""
    counts = dict.fromkeys(_COUNTED.values(), 0)
    applied = context.observed.project.stack if context.observed.project else None
    for action in actions:
        kind = action.action
        if kind == "pull":
            # A registry's image is no resource of the stack.
            continue
        if kind == "build":
            known = applied is not None and action.address.partition(".")[2] in applied.images
            kind = "update" if known else "create"
        counts[_COUNTED[kind]] += 1
    return Summary(**counts, unchanged=len(unchanged))


def _decide(context: Context, node: str) -> Decision:
    kind, _, name = node.partition(".")
    return services.decide(context, name) if kind == "service" else resources.DECIDE[kind](context, name)


def _after(context: Context, draft: Draft, node: str) -> list[str]:
    """Ids of the actions that `node` waits for: its dependencies', and theirs where they have none of their own."""
    found: list[str] = []
    kind, _, name = node.partition(".")
    if kind == "service" and not context.stack.services[name].image_is_stack_image:
        found += draft.by_address.get(pulls.address(context.stack.services[name].image), ())
    for dependency in context.graph.successors(node):
        found += draft.by_address.get(dependency) or _after(context, draft, dependency)
    return found


def _freed(context: Context, node: str, removals: Sequence[Sequence[str]]) -> list[str]:
    """A service that publishes ports comes after the orphans, which may hold them."""
    kind, _, name = node.partition(".")
    if kind != "service" or not context.stack.services[name].ports:
        return []
    return [identity for ids in removals for identity in ids]


def _unknown(context: Context, draft: Draft) -> list[dict[str, str]]:
    """What is known only later, each with the action that tells."""
    found = [
        {"address": action.address, "path": "/digest", "until": action.id}
        for action in draft.actions
        if action.action in ("build", "pull")
    ]
    for address, path in draft.unknown:
        until = [identity for identity in _after(context, draft, address) if not _is_service(draft, identity)]
        found.append({"address": address, "path": path, "until": until[-1] if until else ""})
    return found


def _is_service(draft: Draft, identity: str) -> bool:
    return draft.actions[int(identity[1:])].address.startswith("service.")


def _desired_hash(context: Context, node: str) -> str:
    """Identity of a wanted resource; contents of secrets are known by HMAC alone."""
    kind, _, name = node.partition(".")
    stack = context.stack
    if kind == "service":
        return wire.spec_hash([spec.labels[labels.CONFIG_HASH] for spec in context.specs[name].values()])
    if kind in ("config", "secret"):
        return context.knowledge.keys.get(node, "")
    if kind == "image":
        return wire.spec_hash(record.image_without_contents(stack.images[name]))
    return wire.spec_hash(stack.networks[name] if kind == "network" else stack.volumes[name])


def _fingerprint(desired: Mapping[str, str], observed: Mapping[str, Any], context: Context) -> Fingerprint:
    project = context.observed.project
    return Fingerprint(
        desired=wire.spec_hash(desired),
        observed=wire.spec_hash(observed),
        generation=project.generation if project else 0,
    )
