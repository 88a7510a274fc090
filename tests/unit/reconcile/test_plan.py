"""Plans as data: what is wanted and what exists → actions in order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stackfile import wire
from stackfile.errors import NotFoundError, Place, RefusedError, StackfileError, UsageError
from stackfile.model.container import NetworkRecord
from stackfile.model.observed import Drift
from stackfile.model.plan import Plan
from stackfile.model.stack import (
    Dependency,
    FileRef,
    Healthcheck,
    Ignored,
    ImageResource,
    Mount,
    NetworkResource,
    Origin,
    Port,
    Resources,
    RestartPolicy,
    SecretRef,
    SecretResource,
    Service,
    Stack,
    Step,
    Via,
)
from tests.unit.reconcile import kit

WEB = kit.service("web", replicas=2, depends_on=kit.waiting_for(store="healthy"), ports=(Port(target=80),))
STORE = kit.service("store", mounts=(Mount(type="volume", source="data", target="/data"),))
STACK = kit.stack(WEB, STORE, volumes=kit.volume("data"), configs=kit.config("c"), secrets=kit.secret("s"))
FULL = replace(
    STACK,
    services={
        "web": replace(WEB, files=(FileRef(kind="config", source="c", target="/c"),)),
        "store": replace(STORE, environment={"TOKEN": SecretRef("s")}),
    },
)


def position(made: Plan, text: str) -> int:
    return kit.told(made).index(text)


def test_the_first_up_creates_everything_after_what_it_needs() -> None:
    made = kit.make(FULL, kit.nothing(FULL))
    assert set(kit.told(made)) == {
        "build image.app", "create network.default", "create volume.data", "create config.c", "generate secret.s",
        "create service.store[1]", "create service.web[1,2]",
    }  # fmt: skip
    ids = {action.address: action.id for action in made.actions}
    after = {action.address: set(action.after) for action in made.actions}
    assert after["service.store"] == {
        ids["image.app"], ids["network.default"], ids["volume.data"], ids["secret.s"]
    }  # fmt: skip
    assert after["service.web"] >= {ids["service.store"], ids["config.c"]}
    assert (made.summary.create, made.summary.unchanged) == (7, 0)


def test_an_action_only_comes_after_earlier_ones() -> None:
    made = kit.make(FULL, kit.nothing(FULL))
    seen: set[str] = set()
    for action in made.actions:
        assert set(action.after) <= seen
        seen.add(action.id)


def test_a_second_up_changes_nothing() -> None:
    made = kit.make(FULL, kit.applied(FULL))
    assert made.actions == ()
    assert (made.summary.changes, made.summary.unchanged) == (0, 7)
    assert (made.unknown, made.kept, made.notes) == ((), (), ())


def test_the_same_arguments_give_the_same_plan() -> None:
    assert kit.make(FULL, kit.nothing(FULL)) == kit.make(FULL, kit.nothing(FULL))


def test_one_variable_of_one_service_recreates_that_service_alone() -> None:
    wanted = replace(FULL, services={**FULL.services, "web": replace(FULL.services["web"], environment={"A": "1"})})
    made = kit.make(wanted, kit.applied(FULL))
    assert kit.told(made) == ["recreate service.web[1,2]"]
    assert (made.summary.recreate, made.summary.unchanged) == (1, 6)


def test_replicas_that_differ_show_each_change() -> None:
    def web(value: str) -> Service:
        one = replace(WEB, environment={"A": f"{value}1"})
        return replace(one, variants=(one, replace(one, environment={"A": f"{value}2"})))

    made = kit.make(kit.stack(web("y"), STORE, volumes=kit.volume("data")),
                    kit.applied(kit.stack(web("x"), STORE, volumes=kit.volume("data"))))  # fmt: skip
    assert [(change.before, change.after) for change in made.actions[0].changes] == [("x1", "y1"), ("x2", "y2")]


# ---------------------------------------------------------------- causes


def test_a_change_says_where_its_value_was_written() -> None:
    place, value = Place("stack.yaml", 58, 18), Via("values.log_level", Place("stack.yaml", 7, 14))
    origins = {
        "service.web": Origin(Place("stack.yaml", 40, 3)),
        "service.web/environment/LEVEL": Origin(place, (value,)),
        "service.web/mem_limit": Origin(Place("stack.yaml", 48, 16)),
    }
    before = kit.stack(kit.service("web", environment={"LEVEL": "info"}))
    after = kit.stack(
        kit.service("web", environment={"LEVEL": "debug"}, resources=Resources(memory=96 << 20), user="7"),
        origins=origins,
    )
    causes = {change.path: change.cause for change in kit.make(after, kit.applied(before)).actions[0].changes}
    assert causes["/environment/LEVEL"].kind == "value"
    assert causes["/environment/LEVEL"].origin == Origin(place, (value,))
    assert causes["/resources/memory"].origin == Origin(Place("stack.yaml", 48, 16))
    assert causes["/user"].origin == Origin(Place("stack.yaml", 40, 3))
    assert causes["/user"].kind == "file"


@pytest.mark.parametrize(
    ("reason", "kind"), [("app/web.py changed", "image"), ("first build", "image"), ("/bin/sh changed", "host-file")]
)
def test_a_build_says_why(reason: str, kind: str) -> None:
    wanted = kit.stack(kit.service("web"))
    evaluation = kit.evaluation(reason=reason)
    if kind == "image":
        evaluation = replace(evaluation, steps=(replace(evaluation.steps[0], kind="copy"),))
    made = kit.make(wanted, kit.applied(wanted, images={"app": evaluation}))
    cause = made.actions[0].cause
    assert cause is not None
    assert (cause.kind, reason in cause.detail) == (kind, True)


# ---------------------------------------------------------------- images


def test_an_image_that_must_be_built_leaves_its_dependents_unknown() -> None:
    wanted = kit.stack(kit.service("web"))
    made = kit.make(wanted, kit.applied(wanted, images={"app": kit.evaluation(reason="changed")}))
    assert kit.told(made) == ["build image.app", "recreate service.web[1]"]
    build = made.actions[0].id
    assert made.unknown == (
        {"address": "image.app", "path": "/digest", "until": build},
        {"address": "service.web", "path": "/image", "until": build},
    )


def test_an_image_whose_name_was_taken_gets_it_back_and_nothing_is_recreated() -> None:
    wanted = kit.stack(kit.service("web"))
    evaluation = replace(kit.evaluation(), unnamed=("app",))
    made = kit.make(wanted, kit.applied(wanted, images={"app": evaluation}))
    assert kit.told(made) == ["build image.app"]
    cause = made.actions[0].cause
    assert cause is not None
    assert (cause.kind, cause.detail) == ("drift", "lost its name app")


def test_a_new_image_recreates() -> None:
    wanted = kit.stack(kit.service("web"))
    made = kit.make(wanted, kit.applied(wanted, images={"app": kit.evaluation(image=kit.OTHER_IMAGE)}))
    assert kit.told(made) == ["recreate service.web[1]"]
    assert kit.changed(made, "service.web") == {"/image": "recreate"}


def test_an_image_comes_after_its_base_and_unused_ones_are_not_built() -> None:
    images = {
        "unused": ImageResource(name="unused"),
        "app": ImageResource(name="app", base="python", base_is_stack_image=True, steps=(Step(kind="copy"),)),
        "python": ImageResource(name="python"),
    }
    wanted = kit.stack(kit.service("web"), images=images)
    made = kit.told(kit.make(wanted, kit.nothing(wanted)))
    assert made[:2] == ["build image.python", "build image.app"]
    assert "build image.unused" not in made


def test_no_build_takes_what_is_there_and_misses_what_is_not() -> None:
    wanted = kit.stack(kit.service("web"))
    assert kit.told(kit.make(wanted, kit.applied(wanted), build=False)) == []
    with pytest.raises(NotFoundError) as caught:
        kit.make(wanted, kit.nothing(wanted), build=False)
    assert caught.value.reason == "image-not-found"


def test_a_reference_that_is_not_here_names_its_place() -> None:
    place = Place("stack.yaml", 4, 12)
    service = kit.service("web", image="nginx", image_is_stack_image=False)
    wanted = kit.stack(service, origins={"service.web/image": Origin(place)})
    with pytest.raises(NotFoundError) as caught:
        kit.make(wanted, kit.applied(wanted, references={"nginx": ""}), pull="never")
    assert (caught.value.reason, caught.value.at) == ("image-not-found", place)


def test_force_build() -> None:
    wanted = kit.stack(kit.service("web"))
    assert kit.told(kit.make(wanted, kit.applied(wanted), force_build=True)) == ["build image.app"]


# ---------------------------------------------------------------- replicas, orphans


def test_scaling_up_creates_only_what_is_missing() -> None:
    before = kit.stack(kit.service("web", replicas=2))
    made = kit.make(kit.stack(kit.service("web", replicas=4)), kit.applied(before))
    assert kit.told(made) == ["create service.web[3,4]"]


def test_scaling_down_removes_the_highest() -> None:
    before = kit.stack(kit.service("web", replicas=4))
    made = kit.make(kit.stack(kit.service("web", replicas=2)), kit.applied(before))
    assert kit.told(made) == ["remove service.web[4,3]"]
    assert made.summary.remove == 1


def test_scale_as_an_option() -> None:
    wanted = kit.stack(kit.service("web", replicas=2))
    made = kit.make(wanted, kit.applied(wanted), scale={"web": 1})
    assert kit.told(made) == ["remove service.web[2]"]
    assert made.actions[0].cause is not None
    assert made.actions[0].cause.kind == "option"


def test_scaling_to_nothing() -> None:
    before = kit.stack(kit.service("web", replicas=2))
    assert kit.told(kit.make(before, kit.applied(before), scale={"web": 0})) == ["remove service.web[2,1]"]


def test_scaling_what_templates_made_different_is_refused() -> None:
    one = kit.service("web", environment={"N": "1"})
    wanted = kit.stack(replace(one, variants=(one,)))
    with pytest.raises(UsageError):
        kit.make(wanted, kit.applied(wanted), scale={"web": 2})


def test_a_service_that_counts_its_replicas_says_that_scaling_changes_all() -> None:
    def web(count: int) -> Service:
        base = kit.service("web", replicas=count, counts_replicas=True, environment={"COUNT": str(count)})
        return replace(base, variants=(base,) * count)

    made = kit.make(kit.stack(web(3)), kit.applied(kit.stack(web(2))))
    assert kit.told(made) == ["create service.web[3]", "recreate service.web[1,2]"]
    assert [note.code for note in made.notes] == ["scaling-changes-all"]


def test_orphans_are_kept_and_noted() -> None:
    before = kit.stack(kit.service("worker-mail"), kit.service("worker-thumbnails"))
    made = kit.make(kit.stack(kit.service("worker-mail")), kit.applied(before))
    assert made.actions == ()
    assert made.kept == ({"address": "service.worker-thumbnails", "reason": "orphan"},)
    assert [note.code for note in made.notes] == ["orphan"]


def test_orphans_are_removed_when_asked_before_ports_are_taken() -> None:
    other = {"default": kit.stack().networks["default"], "old": NetworkResource(name="old", full_name="p_old")}
    before = kit.stack(kit.service("web", ports=(Port(target=80, published=80),)), networks=other)
    after = kit.stack(kit.service("front", ports=(Port(target=80, published=80),)))
    made = kit.make(after, kit.applied(before), remove_orphans=True)
    assert kit.told(made) == ["remove service.web[1]", "create service.front[1]", "remove network.old"]
    assert made.actions[0].id in made.actions[1].after
    assert made.actions[0].cause is not None
    assert made.actions[0].cause.kind == "orphan"


def test_what_an_interrupted_update_left_is_removed() -> None:
    wanted = kit.stack(kit.service("web"))
    observed = kit.applied(wanted)
    (current,) = observed.containers
    left = replace(current, id="left", spec=replace(current.spec, name="p-web-1.new"))
    made = kit.make(wanted, replace(observed, containers=(left, current)))
    assert [(kit.told(made), made.actions[0].instances[0].container)] == [(["remove service.web[1]"], "left")]


def test_what_was_left_goes_before_the_other_starts() -> None:
    wanted = kit.stack(kit.service("web"))
    observed = kit.stopped(kit.applied(wanted), "p-web-1", exit_code=0, stopped_by_user=True)
    (current,) = observed.containers
    left = kit.container(replace(current.spec, name="p-web-1.new"))
    made = kit.make(wanted, replace(observed, containers=(left, current)))
    assert kit.told(made) == ["remove service.web[1]", "start service.web[1]"]
    assert made.actions[1].after == (made.actions[0].id,)


# ---------------------------------------------------------------- states


@pytest.mark.parametrize(
    ("state", "detail"),
    [
        ({"exit_code": 137}, "exited 137"),
        ({"exit_code": 0, "stopped_by_user": True}, "stopped"),
        ({"exit_known": False}, "ended unobserved"),
        ({"status": "created"}, "created, never started"),
    ],
)
def test_what_should_run_and_does_not_is_started(state: dict[str, object], detail: str) -> None:
    wanted = kit.stack(kit.service("web"))
    made = kit.make(wanted, kit.stopped(kit.applied(wanted), "p-web-1", **state))
    assert kit.told(made) == ["start service.web[1]"]
    cause = made.actions[0].cause
    assert cause is not None
    assert (cause.kind, cause.detail, made.summary.start) == ("drift", detail, 1)


def test_what_ended_well_rests() -> None:
    job = kit.stack(kit.service("job"))
    assert kit.told(kit.make(job, kit.stopped(kit.applied(job), "p-job-1", exit_code=0))) == []


def test_what_should_always_run_does_not_rest() -> None:
    wanted = kit.stack(kit.service("web", restart=RestartPolicy(name="always")))
    made = kit.make(wanted, kit.stopped(kit.applied(wanted), "p-web-1", exit_code=0))
    assert kit.told(made) == ["start service.web[1]"]


def test_a_one_shot_that_was_stopped_by_hand_after_success_rests_too() -> None:
    wanted = kit.stack(
        kit.service("migrate"), kit.service("web", depends_on=kit.waiting_for(migrate="completed_successfully"))
    )
    observed = kit.stopped(kit.applied(wanted), "p-migrate-1", exit_code=0, stopped_by_user=True)
    assert kit.told(kit.make(wanted, observed)) == []


def test_a_stopped_container_takes_its_changes_along_when_it_starts() -> None:
    before = kit.stack(kit.service("web"))
    after = kit.stack(kit.service("web", resources=Resources(memory=1 << 26)))
    made = kit.make(after, kit.stopped(kit.applied(before), "p-web-1", exit_code=1))
    assert kit.told(made) == ["start service.web[1]"]
    assert kit.changed(made, "service.web") == {"/resources/memory": "in-place"}


def test_a_lost_container_is_created() -> None:
    wanted = kit.stack(kit.service("web", replicas=2))
    observed = kit.applied(wanted)
    assert kit.told(kit.make(wanted, replace(observed, containers=observed.containers[1:]))) == [
        "create service.web[1]"
    ]


def test_drift_is_repaired_in_place() -> None:
    wanted = kit.stack(kit.service("web"))
    drift = Drift(
        address="service.web[1]", field="memory.max", expected="1", actual="2", place="/sys", container="p-web-1"
    )
    made = kit.make(wanted, kit.applied(wanted, drift=(drift,)))
    assert kit.told(made) == ["update service.web[1]"]
    (change,) = made.actions[0].changes
    assert (change.path, change.before, change.after, change.cause.kind) == ("/memory.max", "2", "1", "drift")


def test_lowering_memory_below_its_use_warns() -> None:
    before = kit.stack(kit.service("web", resources=Resources(memory=96 << 20)))
    observed = kit.applied(before)
    busy = replace(observed, containers=tuple(replace(item, memory=80 << 20) for item in observed.containers))
    made = kit.make(kit.stack(kit.service("web", resources=Resources(memory=64 << 20))), busy)
    assert [(note.code, note.severity) for note in made.notes] == [("memory-below-use", "warning")]
    assert kit.told(made) == ["update service.web[1]"]


# ---------------------------------------------------------------- options


def test_force_recreate() -> None:
    wanted = kit.stack(kit.service("web"))
    made = kit.make(wanted, kit.applied(wanted), force_recreate=True)
    assert kit.told(made) == ["recreate service.web[1]"]
    assert made.actions[0].cause is not None
    assert made.actions[0].cause.kind == "option"


def test_no_recreate_leaves_existing_containers_but_adds_missing_ones() -> None:
    before = kit.stack(kit.service("web"))
    after = kit.stack(kit.service("web", replicas=2, command=("x",)))
    assert kit.told(kit.make(after, kit.applied(before), no_recreate=True)) == ["create service.web[2]"]


def test_chosen_services_bring_their_dependencies() -> None:
    made = kit.make(FULL, kit.nothing(FULL), services=("store",))
    assert "create service.web[1,2]" not in kit.told(made)
    made = kit.make(FULL, kit.nothing(FULL), services=("web",))
    assert "create service.store[1]" in kit.told(made)
    made = kit.make(FULL, kit.nothing(FULL), services=("web",), no_deps=True)
    assert "create service.store[1]" not in kit.told(made)
    assert "create volume.data" not in kit.told(made)


def test_a_group_means_its_members() -> None:
    wanted = kit.stack(
        kit.service("worker-a"), kit.service("worker-b"), kit.service("web"),
        groups={"worker": ("worker-a", "worker-b")},
    )  # fmt: skip
    made = kit.make(wanted, kit.applied(kit.stack(), images={"app": kit.evaluation()}), services=("worker",))
    assert kit.told(made) == ["create service.worker-a[1]", "create service.worker-b[1]"]


def test_an_unknown_service_is_a_usage_error() -> None:
    with pytest.raises(UsageError) as caught:
        kit.make(FULL, kit.nothing(FULL), services=("nope",))
    assert caught.value.reason == "no-such-service"


# ---------------------------------------------------------------- guards


@pytest.mark.parametrize(
    ("change", "option", "reason"),
    [
        ({"environment": "prod"}, "switch_environment", "environment-switch"),
        ({"directory": "/elsewhere"}, "adopt", "directory-differs"),
    ],
)
def test_another_environment_or_directory_is_refused(change: dict[str, Any], option: str, reason: str) -> None:
    wanted: Stack = replace(FULL, **change)
    with pytest.raises(RefusedError) as caught:
        kit.make(wanted, kit.applied(FULL))
    assert (caught.value.reason, caught.value.exit_code) == (reason, 5)
    assert kit.make(wanted, kit.applied(FULL), **{option: True}).project == "p"


def test_a_volume_that_would_lose_its_data_needs_a_yes() -> None:
    after = replace(FULL, volumes=kit.volume("data", driver="nfs"))
    with pytest.raises(RefusedError) as caught:
        kit.make(after, kit.applied(FULL))
    assert caught.value.reason == "needs-yes"
    made = kit.make(after, kit.applied(FULL), yes=True)
    assert kit.told(made) == ["recreate volume.data", "recreate service.store[1]"]
    assert made.actions[1].changes[0].cause.kind == "dependency"


@pytest.mark.parametrize("kind", ["network", "volume"])
def test_an_external_resource_must_exist(kind: str) -> None:
    networks = {"default": NetworkResource(name="default", full_name="shared", external=True)}
    if kind == "network":
        wanted = kit.stack(kit.service("web"), networks=networks)
    else:
        mounts = (Mount(type="volume", source="data", target="/d"),)
        wanted = kit.stack(kit.service("web", mounts=mounts), volumes=kit.volume("data", external=True))
    with pytest.raises(StackfileError) as caught:
        kit.make(wanted, kit.nothing(wanted))
    assert caught.value.reason == "not-found"


def test_an_external_network_is_left_alone() -> None:
    wanted = kit.stack(
        kit.service("web"), networks={"default": NetworkResource(name="default", full_name="shared", external=True)}
    )
    made = kit.make(wanted, replace(kit.nothing(wanted), networks=(NetworkRecord(id="n", name="shared"),)))
    assert kit.told(made) == ["build image.app", "create service.web[1]"]


# ---------------------------------------------------------------- networks, secrets


def test_a_changed_network_is_made_anew_below_its_containers() -> None:
    before = kit.stack(kit.service("web"))
    networks = {"default": replace(before.networks["default"], internal=True, subnets=("10.1.0.0/24",))}
    made = kit.make(replace(before, networks=networks), kit.applied(before))
    assert kit.told(made) == ["update network.default"]
    assert kit.changed(made, "network.default") == {"/internal": "drop-connections", "/subnets": "drop-connections"}


def test_subnets_that_the_engine_chose_are_no_change() -> None:
    wanted = kit.stack(kit.service("web"))
    assert kit.told(kit.make(wanted, kit.applied(wanted))) == []


def test_what_the_engine_added_to_given_subnets_is_no_change() -> None:
    """The subnet of the other family, and gateways of those that say none."""
    before = kit.stack(kit.service("web"))
    given = replace(before.networks["default"], subnets=("fd01::/64", "fd02::/64"), gateways=("", "fd02::9"))
    wanted = replace(before, networks={"default": given})
    observed = kit.applied(wanted)
    (record,) = observed.networks
    made = replace(
        record,
        subnets=("10.1.0.0/24", "fd01::/64", "fd02::/64"),
        gateways=("10.1.0.1", "fd01::1", "fd02::9"),
    )
    assert kit.told(kit.make(wanted, replace(observed, networks=(made,)))) == []
    moved = replace(made, gateways=("10.1.0.1", "fd01::1", "fd02::1"))
    assert kit.told(kit.make(wanted, replace(observed, networks=(moved,)))) == ["update network.default"]


def test_who_shares_a_network_namespace_follows() -> None:
    proxy = kit.service("proxy", networks=(), network_mode="service:web")
    before = kit.stack(kit.service("web"), proxy)
    after = kit.stack(kit.service("web", command=("x",)), proxy)
    made = kit.make(after, kit.applied(before))
    assert kit.told(made) == ["recreate service.web[1]", "recreate service.proxy[1]"]
    assert made.actions[1].changes[0].cause.kind == "dependency"
    assert made.actions[1].after == (made.actions[0].id,)


def test_no_secret_is_in_a_plan() -> None:
    content = ("hunter2",)
    secrets = {"s": replace(kit.secret("s")["s"], content=content, generate=None)}
    wanted = kit.stack(kit.service("web", environment={"T": SecretRef("s")}), secrets=secrets)
    observed = replace(kit.nothing(wanted), keys={"secret.s": "hmac:1"})
    assert b"hunter2" not in wire.encode(kit.make(wanted, observed))


def test_disruption() -> None:
    check = Healthcheck(test=("CMD", "true"))
    before = kit.stack(kit.service("a"), kit.service("b", replicas=2, healthcheck=check))
    after = kit.stack(
        kit.service("a", user="1", stop_grace_period=3_000_000_000),
        kit.service("b", replicas=2, user="1", healthcheck=check),
    )
    one, two = (action.disruption for action in kit.make(after, kit.applied(before)).actions)
    assert (one.interrupts, one.grace_seconds, one.loses_writable_layer) == (True, 3, True)
    assert (two.interrupts, two.grace_seconds) == (False, 10)


def test_a_dependent_waits_through_what_stays_as_it_is() -> None:
    """web → store (unchanged) → db: web comes after db."""

    def stack(user: str) -> Stack:
        return kit.stack(
            kit.service("web", user=user, depends_on=kit.waiting_for(store="started")),
            kit.service("store", depends_on=kit.waiting_for(db="started")),
            kit.service("db", user=user),
        )

    made = kit.make(stack("1"), kit.applied(stack("0")))
    assert kit.told(made) == ["recreate service.db[1]", "recreate service.web[1]"]
    assert made.actions[1].after == (made.actions[0].id,)


def test_the_fingerprint_is_of_what_matters() -> None:
    base = kit.make(FULL, kit.applied(FULL))
    busy = kit.applied(FULL)
    busy = replace(busy, containers=tuple(replace(item, memory=5) for item in busy.containers))
    assert kit.make(FULL, busy).fingerprint == base.fingerprint
    other = kit.make(FULL, kit.stopped(kit.applied(FULL), "p-web-1", exit_code=1)).fingerprint
    assert other.observed != base.fingerprint.observed
    assert other.desired == base.fingerprint.desired


def test_who_takes_a_host_port_comes_after_who_gives_it() -> None:
    port = (Port(target=80, published=8080),)
    before = kit.stack(kit.service("a", ports=()), kit.service("b", ports=port))
    after = kit.stack(kit.service("a", ports=port), kit.service("b", ports=()))
    made = kit.make(after, kit.applied(before))
    ids = {action.address: action.id for action in made.actions}
    afters = {action.address: action.after for action in made.actions}
    assert (afters["service.a"], afters["service.b"]) == ((ids["service.b"],), ())


def test_swapped_ports_make_no_cycle() -> None:
    one, two = (Port(target=80, published=8080),), (Port(target=80, published=8081),)
    before = kit.stack(kit.service("a", ports=one), kit.service("b", ports=two))
    made = kit.make(kit.stack(kit.service("a", ports=two), kit.service("b", ports=one)), kit.applied(before))
    assert sorted(len(action.after) for action in made.actions) == [0, 1]


@pytest.mark.parametrize(("restart", "told"), [(True, ["recreate service.db[1]", "restart service.web[1]"]),
                                              (False, ["recreate service.db[1]"])])  # fmt: skip
def test_restart_of_depends_on(restart: bool, told: list[str]) -> None:
    def stack(user: str) -> Stack:
        web = kit.service("web", depends_on={"db": Dependency(restart=restart)})
        return kit.stack(web, kit.service("db", user=user))

    made = kit.make(stack("1"), kit.applied(stack("0")))
    assert kit.told(made) == told
    if restart:
        assert made.actions[1].changes[0].cause.kind == "dependency"


def test_what_has_no_effect_is_noted_with_its_place() -> None:
    ignored = (
        Ignored(address="service.web", path="/credential_spec", at=Place("f", 3, 4), why="of Windows"),
        Ignored(address="service.other", path="/gpus", at=Place("f", 5, 4)),
        Ignored(address="stack", path="/models", at=Place("f", 9, 1)),
    )
    stack = replace(STACK, ignored=ignored)
    notes = [note for note in kit.make(stack, kit.nothing(stack)).notes if note.code == "SF2103"]
    assert [(note.address, note.path, note.origin) for note in notes] == [
        ("service.web", "/credential_spec", Origin(Place("f", 3, 4))),
        ("stack", "/models", Origin(Place("f", 9, 1))),
    ]


def test_contents_of_another_stack_are_used_not_stored() -> None:
    web = replace(WEB, files=(FileRef(kind="secret", source="t", target="/t"),))
    stack = kit.stack(web, secrets={"t": SecretResource(name="t", external="data_pw")})
    told = kit.told(kit.make(stack, kit.nothing(stack, keys={"secret.t": "hmac:1"})))
    assert not [text for text in told if "secret" in text]
    with pytest.raises(NotFoundError) as caught:
        kit.make(stack, kit.nothing(stack, keys={"secret.t": ""}))
    assert caught.value.reason == "not-found"


def test_a_platform_must_be_the_machines() -> None:
    for platform in ("linux", "linux/amd64", "linux/x86_64", "amd64"):
        stack = kit.stack(replace(STORE, platform=platform), volumes=kit.volume("data"))
        assert kit.make(stack, kit.nothing(stack, architecture="x86_64")).actions
    stack = kit.stack(replace(STORE, platform="linux/arm64"), volumes=kit.volume("data"))
    with pytest.raises(StackfileError) as caught:
        kit.make(stack, kit.nothing(stack, architecture="x86_64"))
    assert caught.value.reason == "platform-missing"


@pytest.mark.parametrize(
    "shared", [{"pid_mode": "service:store"}, {"ipc_mode": "service:store"}, {"volumes_from": ("store:ro",)}]
)
def test_who_shares_with_a_replaced_container_follows_it(shared: dict[str, object]) -> None:
    web = kit.service("web", depends_on=kit.waiting_for(store="started"), **shared)
    before = kit.stack(web, STORE, volumes=kit.volume("data"))
    after = kit.stack(web, replace(STORE, user="u"), volumes=kit.volume("data"))
    assert kit.told(kit.make(after, kit.applied(before))) == ["recreate service.store[1]", "recreate service.web[1]"]
