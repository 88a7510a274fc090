"""What exists of a project, and what its images and contents would be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from stackfile.errors import NotFoundError
from stackfile.model.container import NetworkRecord, VolumeRecord
from stackfile.model.image import BuildEvaluation, ImageRecord
from stackfile.model.observed import Observed, Project
from stackfile.model.stack import FileRef, SecretRef, SecretResource, Stack
from stackfile.provider.engine import Engine


async def observe(engine: Engine, name: str, stack: Stack | None, *, evaluate: bool) -> Observed:
    """Everything of project `name` in the engine."""
    project, containers, networks, volumes, drift = await asyncio.gather(
        engine.project_get(name),
        engine.container_list(project=name),
        engine.network_list(project=name),
        engine.volume_list(project=name),
        engine.drift(name),
    )
    observed = Observed(
        project=await _with_what_is_kept(engine, project) if project else None,
        containers=tuple(containers),
        networks=tuple(networks),
        volumes=tuple(volumes),
        drift=tuple(drift),
    )
    return await _desired(engine, stack, observed, evaluate=evaluate) if stack is not None else observed


async def _desired(engine: Engine, stack: Stack, observed: Observed, *, evaluate: bool) -> Observed:
    images, references, keys, networks, volumes = await asyncio.gather(
        engine.image_evaluate(stack.images) if evaluate else _present(engine, stack),
        _references(engine, stack),
        _keys(engine, stack, observed.project),
        _external_networks(engine, stack),
        _external_volumes(engine, stack),
    )
    return Observed(
        project=observed.project,
        containers=observed.containers,
        networks=(*observed.networks, *networks),
        volumes=(*observed.volumes, *volumes),
        images=images,
        references={ref: record.id if record else "" for ref, record in references.items()},
        pulled={ref: record.pulled for ref, record in references.items() if record and record.pulled},
        time=datetime.now(UTC).isoformat(),
        keys=keys,
        drift=observed.drift,
        architecture=await _architecture(engine, stack),
    )


async def _architecture(engine: Engine, stack: Stack) -> str:
    """The machine's, where a service asks for a platform."""
    if not any(service.platform for service in stack.services.values()):
        return ""
    return (await engine.info()).architecture


async def _present(engine: Engine, stack: Stack) -> dict[str, BuildEvaluation]:
    """Images of the stack as they are, whatever a build would make of them now."""
    ids = await asyncio.gather(*(image_id(engine, item.tags[0] if item.tags else "") for item in stack.images.values()))
    return {name: BuildEvaluation(name=name, image=identity) for name, identity in zip(stack.images, ids, strict=True)}


async def _references(engine: Engine, stack: Stack) -> dict[str, ImageRecord | None]:
    refs = {service.image for service in stack.services.values() if not service.image_is_stack_image}
    return {ref: await _image(engine, ref) for ref in sorted(refs)}


async def _image(engine: Engine, ref: str) -> ImageRecord | None:
    try:
        return await engine.image_get(ref)
    except NotFoundError:
        return None


async def image_id(engine: Engine, ref: str) -> str:
    """ "" where there is no such image."""
    try:
        return (await engine.image_get(ref)).id if ref else ""
    except NotFoundError:
        return ""


async def _external_networks(engine: Engine, stack: Stack) -> list[NetworkRecord]:
    found = []
    for network in stack.networks.values():
        if network.external:
            try:
                found.append(await engine.network_get(network.full_name))
            except NotFoundError:
                continue  # the plan says so, with its place
    return found


async def _external_volumes(engine: Engine, stack: Stack) -> list[VolumeRecord]:
    found = []
    for volume in stack.volumes.values():
        if volume.external:
            try:
                found.append(await engine.volume_get(volume.full_name))
            except NotFoundError:
                continue  # the plan says so, with its place
    return found


# ---------------------------------------------------------------- contents


async def _with_what_is_kept(engine: Engine, project: Project) -> Project:
    """The project with the keys of those contents alone that are there: a `down` may have ended half-way."""
    kept = {f"{kind}.{name}" for kind in ("config", "secret") for name in await engine.file_names(project.name, kind)}
    keys = {address: key for address, key in project.keys.items() if address in kept or _is_of_others(project, address)}
    return project if len(keys) == len(project.keys) else replace(project, keys=keys)


def _is_of_others(project: Project, address: str) -> bool:
    """Whether the content of a config or secret is kept by another project."""
    kind, _, name = address.partition("@")[0].partition(".")
    resources = getattr(project.stack, f"{kind}s", {})
    return name in resources and bool(resources[name].external)


async def _keys(engine: Engine, stack: Stack, project: Project | None) -> dict[str, str]:
    """HMACs of the wanted contents, named as in `Observed.keys`."""
    keys = {}
    for name, data in config_contents(stack).items():
        keys[f"config.{name}"] = await engine.file_key(data)
    keys |= await _others_keys(engine, stack)
    applied = project.keys if project else {}
    for name in secret_order(stack.secrets):
        if stack.secrets[name].external:
            continue
        keys[f"secret.{name}"] = await _secret_key(engine, stack, stack.secrets[name], keys, applied)
    return keys


async def _others_keys(engine: Engine, stack: Stack) -> dict[str, str]:
    """HMACs of the configs and secrets that other stacks have: `<project>_<name>` is theirs of that name."""
    wanted = {f"config.{name}": item.external for name, item in stack.configs.items() if item.external}
    wanted |= {f"secret.{name}": item.external for name, item in stack.secrets.items() if item.external}
    if not wanted:
        return {}
    known = {}
    for project in await engine.project_list():
        for address, key in project.keys.items():
            kind, _, name = address.partition(".")
            known[kind, f"{project.name}_{name}"] = key
    return {address: known.get((address.partition(".")[0], full), "") for address, full in wanted.items()}


async def _secret_key(
    engine: Engine, stack: Stack, secret: SecretResource, keys: Mapping[str, str], applied: Mapping[str, str]
) -> str:
    """ "" where it is known only once it, or a secret that it is composed of, was stored."""
    for part in secret.content or ():
        if isinstance(part, SecretRef):
            name = f"secret.{part.secret}"
            composed = stack.secrets[part.secret].content is not None
            if not keys.get(name) or (composed and keys[name] != applied.get(name)):
                return ""
    return await engine.secret_resolve(stack.name, secret.name, secret.content, secret.generate, create=False)


def config_contents(stack: Stack) -> dict[str, bytes]:
    """Name in the file store → content: configs as wholes, and what differs by replica as `NAME@SERVICE/INDEX`."""
    found = {name: item.content.encode() for name, item in stack.configs.items() if item.content is not None}
    for service in stack.services.values():
        for index in range(1, max(service.replicas, len(service.variants), 1) + 1):
            for ref in _own_contents(service.replica(index).files):
                found[f"{ref.source}@{service.name}/{index}"] = (ref.content or "").encode()
    return found


def _own_contents(files: Iterable[FileRef]) -> list[FileRef]:
    return [ref for ref in files if ref.kind == "config" and ref.content is not None]


def secret_order(secrets: Mapping[str, SecretResource]) -> list[str]:
    """Each secret after those that it is composed of (the language has refused cycles)."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name in order:
            return
        for part in secrets[name].content or ():
            if isinstance(part, SecretRef) and part.secret in secrets:
                visit(part.secret)
        order.append(name)

    for name in secrets:
        visit(name)
    return order
