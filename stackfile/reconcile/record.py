"""What the engine remembers of a project: the model that was applied, without the contents of secrets. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from stackfile.model.observed import Project
from stackfile.model.stack import ImageResource, Stack

T = TypeVar("T")


def begun(stack: Stack, now: str) -> Project:
    """A project whose first `up` is under way: its resources can be found whatever becomes of it."""
    return Project(name=stack.name, directory=stack.directory, environment=stack.environment, created=now, updated=now)


def applied(
    before: Project | None,
    stack: Stack,
    done: set[str],
    keys: Mapping[str, str],
    kept: set[str],
    changed: bool,
    now: str,
) -> Project:
    """The project after an `up` that finished the addresses in `done`; the rest stays as it was before.

    `kept` are orphans: no longer in the stack, but still there.
    """
    old = before.stack if before else None
    return Project(
        name=stack.name,
        directory=stack.directory,
        environment=stack.environment,
        stack=merge(old, without_contents(stack), done, kept),
        generation=(before.generation if before else 0) + (1 if changed else 0),
        created=(before.created if before else "") or now,
        updated=now,
        keys={**(before.keys if before else {}), **_kept_keys(keys, done)},
    )


def scaled(stack: Stack, scale: Mapping[str, int]) -> Stack:
    """The stack with as many replicas as the command line said."""
    services = {
        name: replace(item, replicas=scale[name]) if scale.get(name, item.replicas) != item.replicas else item
        for name, item in stack.services.items()
    }
    return replace(stack, services=services)


def differs(before: Project | None, after: Project) -> bool:
    """Whether anything but the time is new."""
    return before is None or replace(before, updated="") != replace(after, updated="")


def without_contents(stack: Stack) -> Stack:
    """The stack as it may be stored and shown: contents of secrets are known by HMAC alone."""
    secrets = {name: replace(item, content=None) for name, item in stack.secrets.items()}
    images = {name: image_without_contents(item) for name, item in stack.images.items()}
    return replace(stack, secrets=secrets, images=images)


def image_without_contents(image: ImageResource) -> ImageResource:
    """The image without the secrets that its build is given."""
    if image.build is None or not image.build.secret_texts:
        return image
    return replace(image, build=replace(image.build, secret_texts={}))


def merge(old: Stack | None, new: Stack, done: set[str], kept: set[str]) -> Stack:
    """`new` for what is in `done`, `old` for the rest of what `new` has and for what is `kept`."""
    if old is None:
        old = Stack(name=new.name)
    return replace(
        new,
        images=_merge("image", old.images, new.images, done, kept),
        services=_merge("service", old.services, new.services, done, kept),
        networks=_merge("network", old.networks, new.networks, done, kept),
        volumes=_merge("volume", old.volumes, new.volumes, done, kept),
        configs=_merge("config", old.configs, new.configs, done, kept),
        secrets=_merge("secret", old.secrets, new.secrets, done, kept),
    )


def _merge(kind: str, old: Mapping[str, T], new: Mapping[str, T], done: set[str], kept: set[str]) -> dict[str, T]:
    result: dict[str, T] = {}
    for name in new:
        if f"{kind}.{name}" in done:
            result[name] = new[name]
        elif name in old:
            result[name] = old[name]
    result.update({name: old[name] for name in old if name not in new and f"{kind}.{name}" in kept})
    return result


def _kept_keys(keys: Mapping[str, str], done: Iterable[str]) -> dict[str, str]:
    """HMACs of the contents that were really stored."""
    finished = set(done)
    return {name: key for name, key in keys.items() if key and name.partition("@")[0] in finished}
