"""Replacing a container by its successor, so that the old one runs again when the new one does not work.

create the new one under a temporary name      (whatever fails here leaves the old one untouched)
stop the old one, start the new one            (start-first: the old one stops once the new one is healthy)
wait until it is healthy                       (else: remove it, start the old one)
exchange the names, remove the old one
"""

from __future__ import annotations

from dataclasses import replace

from stackfile.engines import readiness
from stackfile.errors import NotFoundError, StackfileError
from stackfile.model.container import ContainerRecord, ContainerSpec
from stackfile.model.stack import Mount
from stackfile.provider.engine import Engine, LogQuery, Progress

TAIL = 20
_BESIDE = ".new"
"""Ends the name of a successor until it takes over."""
_AWAY = ".old"
"""Ends the name of a predecessor from then on."""


async def replace_container(
    engine: Engine,
    old_ref: str,
    spec: ContainerSpec,
    *,
    timeout: float,
    stop_timeout: int | None,
    start: bool,
    progress: Progress,
    start_first: bool = False,
    monitor: float = 0,
) -> str:
    """Put a container of `spec` where `old_ref` is; returns the new id.

    It must be healthy within `timeout` seconds and stay so for `monitor` more.
    Raises what creating, starting or waiting raised; the old container then runs as before.
    """
    old = await _get(engine, old_ref)
    if old is None:
        identity = await engine.container_create(spec)
        if start:
            await engine.container_start(identity)
            await readiness.healthy(engine, identity, timeout)
        return identity
    old = await _in_its_place(engine, old, spec.name)
    new = await _create_beside(engine, old, spec)
    if start:
        was_running = old.state.running
        if not start_first:
            await engine.container_stop(old.id, timeout=stop_timeout)
        try:
            await engine.container_start(new)
            await readiness.healthy(engine, new, timeout)
            await readiness.steady(engine, new, monitor)
        except StackfileError as error:
            await _undo(engine, old, new, progress, was_running=was_running and not start_first)
            error.message = error.message.replace(f"{spec.name}{_BESIDE}", spec.name)
            if was_running:
                error.hint = "the previous container " + ("runs on" if start_first else "was started again")
            raise
        if start_first:
            await engine.container_stop(old.id, timeout=stop_timeout)
    await _exchange(engine, old, new, spec.name)
    return new


async def _get(engine: Engine, ref: str) -> ContainerRecord | None:
    try:
        return await engine.container_get(ref) if ref else None
    except NotFoundError:
        return None


async def _in_its_place(engine: Engine, old: ContainerRecord, name: str) -> ContainerRecord:
    """One that became the current one when its own replacement was cut short has a successor's name still."""
    if old.spec.name != f"{name}{_BESIDE}":
        return old
    predecessor = await _get(engine, name)
    if predecessor is not None and not predecessor.state.running:
        await engine.container_remove(predecessor.id, force=True)
    await engine.container_rename(old.id, name)
    return await engine.container_get(old.id)


async def _vacate(engine: Engine, name: str) -> None:
    """Remove what a replacement that was cut short left under a temporary name."""
    left_over = await _get(engine, name)
    if left_over is not None and left_over.spec.name == name:
        await engine.container_remove(left_over.id, force=True)


async def _create_beside(engine: Engine, old: ContainerRecord, spec: ContainerSpec) -> str:
    name = f"{spec.name}{_BESIDE}"
    await _vacate(engine, name)
    return await engine.container_create(replace(carry_over(spec, old), name=name))


def carry_over(spec: ContainerSpec, old: ContainerRecord) -> ContainerSpec:
    """`spec` with the anonymous volumes of its predecessor, for its own mounts and those that the image asks for."""
    named = {mount.target for mount in spec.mounts if mount.type != "volume" or mount.source}
    declared = {mount.target: mount.source for mount in old.spec.mounts if mount.type == "volume" and mount.source}
    anonymous = {
        target: volume
        for target, volume in old.volumes.items()
        if target not in named and (target not in declared or len(declared[target]) == 64)
    }
    mounts = [
        replace(mount, source=anonymous.pop(mount.target)) if mount.target in anonymous else mount
        for mount in spec.mounts
    ]
    mounts += [Mount(type="volume", target=target, source=volume) for target, volume in anonymous.items()]
    return replace(spec, mounts=tuple(mounts))


async def _exchange(engine: Engine, old: ContainerRecord, new: str, name: str) -> None:
    if old.spec.name == name:
        await _vacate(engine, f"{name}{_AWAY}")
        await engine.container_rename(old.id, f"{name}{_AWAY}")
    await engine.container_rename(new, name)
    await engine.container_remove(old.id, force=True)


async def _undo(engine: Engine, old: ContainerRecord, new: str, progress: Progress, *, was_running: bool) -> None:
    """Say what the new one wrote, remove it, start the old one."""
    async for chunk in engine.container_logs(new, LogQuery(tail=TAIL)):
        progress(chunk.data.decode(errors="replace").rstrip("\n"))
    await engine.container_remove(new, force=True)
    if was_running:
        await engine.container_start(old.id)
