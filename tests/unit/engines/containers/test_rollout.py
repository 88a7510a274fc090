"""Anonymous volumes of a predecessor."""

from __future__ import annotations

from stackfile.engines.rollout import carry_over
from stackfile.model.container import ContainerRecord, ContainerSpec, ContainerState
from stackfile.model.stack import Mount

FIRST, SECOND = "a" * 64, "b" * 64


def old(mounts: tuple[Mount, ...], volumes: dict[str, str]) -> ContainerRecord:
    return ContainerRecord(
        id="c", spec=ContainerSpec(mounts=mounts), state=ContainerState(), created="", volumes=volumes
    )


def volume(target: str, source: str = "") -> Mount:
    return Mount(type="volume", target=target, source=source)


def test_its_own_and_the_images_are_carried_over() -> None:
    before = old((volume("/cache"), volume("/data", "p_data")), {"/cache": FIRST, "/image": SECOND, "/data": "p_data"})
    spec = carry_over(ContainerSpec(mounts=(volume("/cache"), volume("/data", "p_data"))), before)
    assert spec.mounts == (volume("/cache", FIRST), volume("/data", "p_data"), volume("/image", SECOND))


def test_what_was_carried_over_once_is_carried_over_again() -> None:
    before = old((volume("/cache", FIRST),), {"/cache": FIRST})
    assert carry_over(ContainerSpec(mounts=(volume("/cache"),)), before).mounts == (volume("/cache", FIRST),)


def test_a_named_volume_is_not() -> None:
    before = old((volume("/data", "p_data"),), {"/data": "p_data"})
    assert carry_over(ContainerSpec(), before).mounts == ()


def test_a_target_that_is_something_else_now_is_not() -> None:
    before = old((volume("/data"),), {"/data": FIRST})
    bind = Mount(type="bind", target="/data", source="/srv")
    assert carry_over(ContainerSpec(mounts=(bind,)), before).mounts == (bind,)
