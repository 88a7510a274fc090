"""Stages of a Dockerfile, and which of them a target needs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from stackfile.errors import ErrorCollector, Place, StackError
from stackfile.language.dockerfile import source, words
from stackfile.language.dockerfile.source import Instruction

KEYWORDS = frozenset({
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD", "RUN",
    "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
})  # fmt: skip
FLAGS: Mapping[str, frozenset[str]] = {
    "FROM": frozenset({"platform"}),
    "RUN": frozenset({"mount", "network", "security"}),
    "COPY": frozenset({"from", "chown", "chmod", "link", "parents", "exclude"}),
    "ADD": frozenset({"chown", "chmod", "link", "checksum", "keep-git-dir", "exclude"}),
    "HEALTHCHECK": frozenset({"interval", "timeout", "start-period", "start-interval", "retries"}),
}
_STAGE_NAME = re.compile(r"[a-z][a-z0-9._-]*")
_REPEATED = frozenset({"mount", "exclude"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage as it is written: `base` may hold variables of the arguments before the first FROM."""

    index: int
    base: str
    at: Place
    base_at: Place
    name: str = ""
    platform: str = ""
    instructions: tuple[Instruction, ...] = ()
    origin: Instruction

    @property
    def key(self) -> str:
        """How other stages call it: its name, or its number."""
        return self.name or str(self.index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dockerfile:
    """A parsed Dockerfile. `arguments` are the ARGs before the first FROM."""

    name: str
    escape: str
    arguments: tuple[Instruction, ...]
    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """A stage to build. `base` is the key of a stage when `from_stage`, else an image; `needs` are stages."""

    stage: Stage
    base: str
    from_stage: bool
    platform: str
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a target needs: stages in the order of the file, the target's last. `images` are all names outside."""

    stages: tuple[StagePlan, ...]
    keys: Mapping[str, str]
    """What a stage is called → its key."""
    arguments: Mapping[str, str]
    """Values of the ARGs before the first FROM."""
    images: tuple[str, ...]
    escape: str = "\\"


@lru_cache(maxsize=64)
def parse(text: str, name: str = "Dockerfile") -> Dockerfile:
    """Read a Dockerfile. StackError, or ErrorList with all mistakes (`dockerfile-syntax`, `unknown-instruction`)."""
    found = source.read(text, name)
    errors = ErrorCollector()
    arguments: list[Instruction] = []
    groups: list[tuple[Instruction, list[Instruction]]] = []
    for instruction in found.instructions:
        try:
            _check(instruction)
            if instruction.keyword == "FROM":
                groups.append((instruction, []))
            elif groups:
                groups[-1][1].append(instruction)
            elif instruction.keyword == "ARG":
                arguments.append(instruction)
            else:
                raise instruction.error("there is no FROM before it", hint="a Dockerfile starts with FROM")
        except StackError as error:
            errors.add(error)
    if not groups and not errors.errors:
        errors.add(StackError("dockerfile-syntax", f"{name} has no FROM", at=Place(name, 1, 1)))
    stages: list[Stage] = []
    for index, (origin, instructions) in enumerate(groups):
        try:
            stages.append(_stage(index, origin, tuple(instructions), stages))
        except StackError as error:
            errors.add(error)
    errors.check()
    return Dockerfile(name=name, escape=found.escape, arguments=tuple(arguments), stages=tuple(stages))


def _check(instruction: Instruction) -> None:
    keyword = instruction.keyword
    if keyword != "FROM" and keyword not in KEYWORDS:
        import difflib

        close = difflib.get_close_matches(keyword, [*KEYWORDS, "FROM"], 1)
        hint = f"did you mean {close[0]}?" if close else ""
        message = f"no instruction {keyword}"
        raise StackError("unknown-instruction", message, at=instruction.at, hint=hint)
    if not instruction.text and not (keyword == "HEALTHCHECK" and instruction.flags):
        raise instruction.error("it needs an argument")
    seen: set[str] = set()
    for name, _ in instruction.flags:
        if name not in FLAGS.get(keyword, ()):
            raise instruction.error(f"no flag --{name}", f"--{name}", hint=_flags_hint(keyword))
        if name in seen and name not in _REPEATED:
            raise instruction.error(f"--{name} is given twice", f"--{name}")
        seen.add(name)


def _flags_hint(keyword: str) -> str:
    names = sorted(FLAGS.get(keyword, ()))
    return f"there are: {', '.join(f'--{name}' for name in names)}" if names else f"{keyword} has no flags"


def _stage(index: int, origin: Instruction, instructions: tuple[Instruction, ...], before: list[Stage]) -> Stage:
    parts = origin.text.split()
    if len(parts) not in (1, 3) or (len(parts) == 3 and parts[1].upper() != "AS"):
        raise origin.error("FROM IMAGE, or FROM IMAGE AS NAME")
    name = parts[2].lower() if len(parts) == 3 else ""
    if name and not _STAGE_NAME.fullmatch(name):
        raise origin.error(f"not a stage's name: {parts[2]!r}", parts[2])
    if name and any(stage.name == name for stage in before):
        raise origin.error(f"there is a stage {name} already", parts[2], reason="name-collision")
    return Stage(
        index=index,
        base=parts[0],
        at=origin.at,
        base_at=origin.place(parts[0]),
        name=name,
        platform=dict(origin.flags).get("platform", ""),
        instructions=instructions,
        origin=origin,
    )


def plan(dockerfile: Dockerfile, target: str, args: Mapping[str, str], platform: str) -> Plan:
    """What building `target` ("" for the last stage) needs, with build arguments. StackError (`unknown-stage`)."""
    arguments = _global_arguments(dockerfile, args, platform)
    keys = {str(stage.index): stage.key for stage in dockerfile.stages}
    keys |= {stage.name: stage.key for stage in dockerfile.stages if stage.name}
    by_key = {stage.key: stage for stage in dockerfile.stages}
    last = by_key[_target(dockerfile, keys, target)]
    wanted: dict[str, StagePlan] = {}
    images: dict[str, None] = {}
    pending = [last.key]
    while pending:
        stage = by_key[pending.pop()]
        if stage.key in wanted:
            continue
        made = _planned(stage, dockerfile, keys, arguments, images)
        wanted[stage.key] = made
        pending += made.needs
    ordered = sorted(wanted.values(), key=lambda item: (item.stage.key == last.key, item.stage.index))
    return Plan(stages=tuple(ordered), keys=keys, arguments=arguments, images=tuple(images), escape=dockerfile.escape)


def _target(dockerfile: Dockerfile, keys: Mapping[str, str], target: str) -> str:
    if not target:
        return dockerfile.stages[-1].key
    if target.lower() not in keys:
        known = ", ".join(stage.name for stage in dockerfile.stages if stage.name)
        hint = f"there are: {known}" if known else "no stage has a name"
        raise StackError("unknown-stage", f"no stage {target!r}", at=Place(dockerfile.name), hint=hint)
    return keys[target.lower()]


def _planned(
    stage: Stage,
    dockerfile: Dockerfile,
    keys: Mapping[str, str],
    arguments: Mapping[str, str],
    images: dict[str, None],
) -> StagePlan:
    try:
        base = words.expand(stage.base, arguments, dockerfile.escape)
        platform = words.expand(stage.platform, arguments, dockerfile.escape)
    except StackError as error:
        error.at = error.at or stage.base_at
        raise
    if not base:
        raise stage.origin.error(f"{stage.base} is empty", stage.base, hint="give the argument a default")
    needs: dict[str, None] = {}
    earlier = {name for name, key in keys.items() if _index(dockerfile, key) < stage.index}
    from_stage = base.lower() in earlier and not base.isdigit()
    if from_stage:
        needs[keys[base.lower()]] = None
    elif base != "scratch":
        images[base] = None
    for instruction, name in _sources(stage):
        if name.lower() in earlier:
            needs[keys[name.lower()]] = None
        elif name.isdigit() or name.lower() == stage.name:
            raise instruction.error(f"no stage {name} before this one", name, reason="unknown-stage")
        else:
            images[name] = None
    return StagePlan(
        stage=stage,
        base=keys[base.lower()] if from_stage else base,
        from_stage=from_stage,
        platform=platform,
        needs=tuple(needs),
    )


def _index(dockerfile: Dockerfile, key: str) -> int:
    return next(stage.index for stage in dockerfile.stages if stage.key == key)


def _sources(stage: Stage) -> Iterator[tuple[Instruction, str]]:
    """What COPY --from and RUN --mount=from= of a stage name."""
    for instruction in stage.instructions:
        for flag, value in instruction.flags:
            if flag == "from" and value:
                yield instruction, value
            elif flag == "mount":
                yield from ((instruction, part[5:]) for part in value.split(",") if part.startswith("from="))


def _global_arguments(dockerfile: Dockerfile, args: Mapping[str, str], platform: str) -> dict[str, str]:
    result = platform_arguments(platform)
    for instruction in dockerfile.arguments:
        for word in words.split(instruction.text, dockerfile.escape):
            name, equals, default = word.partition("=")
            if name in args:
                result[name] = args[name]
            elif equals:
                try:
                    result[name] = words.expand(default, result, dockerfile.escape)
                except StackError as error:
                    error.at = error.at or instruction.at
                    raise
    return result


def platform_arguments(platform: str) -> dict[str, str]:
    """The arguments that every Dockerfile knows: `platform` is `linux/amd64` or `linux/arm/v7`."""
    system, architecture, variant = (*platform.split("/"), "", "")[:3]
    parts = {"PLATFORM": platform, "OS": system, "ARCH": architecture, "VARIANT": variant}
    return {f"{side}{name}": value for side in ("TARGET", "BUILD") for name, value in parts.items()}


def outside(images: Collection[str], known: Collection[str], itself: str) -> tuple[str, ...]:
    """Which names a Dockerfile takes from elsewhere are images of the stack (but not the image itself)."""
    return tuple(name for name in images if name in known and name != itself)
