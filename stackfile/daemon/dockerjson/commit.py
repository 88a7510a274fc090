"""`commit` and `import`: the configuration of an image made of a container, with instructions on top."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stackfile.daemon.dockerjson import health, ports, values
from stackfile.errors import ActionError
from stackfile.model.container import ContainerSpec
from stackfile.model.image import ImageConfig
from stackfile.model.stack import Healthcheck, SecretRef

_DURATIONS = {"interval": "interval", "timeout": "timeout", "start-period": "start_period"}


def of_container(spec: ContainerSpec, image: ImageConfig) -> ImageConfig:
    """The configuration of a container as an image's. Secrets of its environment stay out."""
    environment = dict(entry.partition("=")[::2] for entry in image.environment)
    for name, value in spec.environment.items():
        if value is None or isinstance(value, SecretRef):
            environment.pop(name, None)
        else:
            environment[name] = value
    exposed = [*image.exposed_ports, *spec.expose, *(f"{port.target}/{port.protocol}" for port in spec.ports)]
    anonymous = [mount.target for mount in spec.mounts if mount.type == "volume" and not mount.source]
    command = spec.command if spec.command is not None or spec.entrypoint is not None else image.command
    return replace(
        image,
        entrypoint=spec.entrypoint if spec.entrypoint is not None else image.entrypoint,
        command=command,
        environment=tuple(f"{name}={value}" for name, value in environment.items()),
        user=spec.user or image.user,
        working_dir=spec.working_dir or image.working_dir,
        labels={**image.labels, **spec.labels},
        exposed_ports=tuple(dict.fromkeys(exposed)),
        volumes=tuple(dict.fromkeys([*image.volumes, *anonymous])),
        stop_signal=spec.stop_signal or image.stop_signal,
        healthcheck=spec.healthcheck or image.healthcheck,
    )


def with_body(config: ImageConfig, body: Mapping[str, Any]) -> ImageConfig:
    """What the body of `commit` says wins. Raises ActionError (`bad-request`)."""
    given = dict(entry.partition("=")[::2] for entry in values.texts(body, "Env"))
    before = dict(entry.partition("=")[::2] for entry in config.environment)
    return replace(
        config,
        entrypoint=values.texts(body, "Entrypoint") or config.entrypoint,
        command=values.texts(body, "Cmd") or config.command,
        environment=tuple(f"{name}={value}" for name, value in {**before, **given}.items()),
        user=values.text(body, "User") or config.user,
        working_dir=values.text(body, "WorkingDir") or config.working_dir,
        labels={**config.labels, **values.text_mapping(body, "Labels")},
        exposed_ports=tuple(dict.fromkeys([*config.exposed_ports, *values.mapping(body, "ExposedPorts")])),
        volumes=tuple(dict.fromkeys([*config.volumes, *values.mapping(body, "Volumes")])),
        stop_signal=values.text(body, "StopSignal") or config.stop_signal,
        healthcheck=health.decode(values.mapping(body, "Healthcheck")) or config.healthcheck,
    )


def apply_changes(config: ImageConfig, changes: Sequence[str]) -> ImageConfig:
    """`--change`: Dockerfile instructions that set the configuration. Raises ActionError (`bad-request`)."""
    for change in changes:
        for line in filter(None, (part.strip() for part in change.replace("\\\n", " ").splitlines())):
            word, _, rest = line.partition(" ")
            instruction = _INSTRUCTIONS.get(word.upper())
            if instruction is None:
                raise ActionError("bad-request", f"{word} is not valid in a change of an image's configuration")
            config = instruction(config, rest.strip())
    return config


def _argv(text: str) -> tuple[str, ...]:
    """JSON form, or a line for the shell."""
    if text.startswith("["):
        try:
            words = json.loads(text)
        except ValueError as error:
            raise ActionError("bad-request", f"not a list of words: {text}", cause=str(error)) from error
        if all(isinstance(word, str) for word in words):
            return tuple(words)
    return ("/bin/sh", "-c", text)


def _names(text: str) -> list[str]:
    return list(_argv(text)) if text.startswith("[") else text.split()


def _pairs(text: str) -> dict[str, str]:
    words = shlex.split(text)
    if words and "=" not in words[0]:
        return {words[0]: text.partition(" ")[2].strip()}
    return dict(word.partition("=")[::2] for word in words)


def _environment(config: ImageConfig, text: str) -> ImageConfig:
    known = dict(entry.partition("=")[::2] for entry in config.environment) | _pairs(text)
    return replace(config, environment=tuple(f"{name}={value}" for name, value in known.items()))


def _expose(config: ImageConfig, text: str) -> ImageConfig:
    found = [f"{number}/{protocol}" for number, protocol in map(ports.split, text.split())]
    return replace(config, exposed_ports=tuple(dict.fromkeys([*config.exposed_ports, *found])))


def _workdir(config: ImageConfig, text: str) -> ImageConfig:
    base = "" if text.startswith("/") else (config.working_dir or "/").rstrip("/") + "/"
    return replace(config, working_dir=f"{base}{text}")


def _healthcheck(config: ImageConfig, text: str) -> ImageConfig:
    if text.upper() == "NONE":
        return replace(config, healthcheck=Healthcheck(test=("NONE",)))
    words = text.split(" ")
    options: dict[str, int] = {}
    while words and words[0].startswith("--"):
        name, _, value = words.pop(0).removeprefix("--").partition("=")
        if name == "retries" and value.isdigit():
            options["retries"] = int(value)
        elif name in _DURATIONS:
            options[_DURATIONS[name]] = _duration(value)
        else:
            raise ActionError("bad-request", f"HEALTHCHECK has no option --{name}={value}")
    command = " ".join(words).strip()
    if not command.upper().startswith("CMD "):
        raise ActionError("bad-request", "HEALTHCHECK needs CMD or NONE")
    rest = command[4:].strip()
    test = ("CMD", *_argv(rest)) if rest.startswith("[") else ("CMD-SHELL", rest)
    return replace(config, healthcheck=Healthcheck(test=test, **options))


def _duration(text: str) -> int:
    units = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
    for unit in ("ms", "s", "m", "h"):
        if text.endswith(unit) and text.removesuffix(unit).isdigit():
            return int(text.removesuffix(unit)) * units[unit]
    raise ActionError("bad-request", f"not a duration: {text!r}")


_INSTRUCTIONS: dict[str, Callable[[ImageConfig, str], ImageConfig]] = {
    "CMD": lambda config, text: replace(config, command=_argv(text)),
    "ENTRYPOINT": lambda config, text: replace(config, entrypoint=_argv(text)),
    "ENV": _environment,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": lambda config, text: replace(config, labels={**config.labels, **_pairs(text)}),
    "STOPSIGNAL": lambda config, text: replace(config, stop_signal=text),
    "USER": lambda config, text: replace(config, user=text),
    "VOLUME": lambda config, text: replace(config, volumes=tuple(dict.fromkeys([*config.volumes, *_names(text)]))),
    "WORKDIR": _workdir,
}
