"""Instructions that change the configuration alone: env, label, arg, user, expose, volume, entrypoint, …"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from stackfile import wire
from stackfile.build.layer import Made
from stackfile.build.state import State
from stackfile.build.steps.base import Inputs, Workshop
from stackfile.model.stack import Step
from stackfile.provider.engine import Progress


@dataclass(frozen=True, slots=True)
class Setting:
    """One of them: how it reads, what it depends on, and what it changes."""

    kind: str
    text_of: Callable[[Step], str]
    parts_of: Callable[[Step], Mapping[str, str]]
    change: Callable[[Step, State], State]
    makes_layer: bool = False

    def text(self, step: Step) -> str:
        return self.text_of(step)

    async def inputs(self, step: Step, state: State, workshop: Workshop) -> Inputs:
        return Inputs(parts=self.parts_of(step))

    def configure(self, step: Step, state: State) -> State:
        return self.change(step, state)

    async def make(self, step: Step, state: State, workshop: Workshop, progress: Progress) -> Made:
        raise AssertionError(f"{self.kind} makes no layer")


def _pairs(step: Step) -> str:
    return " ".join(f"{name}={value}" for name, value in step.mapping.items())


def _argv(step: Step) -> str:
    return " ".join(step.argv)


def _named(noun: str) -> Callable[[Step], Mapping[str, str]]:
    return lambda step: {f"{noun} {name}": value for name, value in step.mapping.items()}


def _list(noun: str) -> Callable[[Step], Mapping[str, str]]:
    return lambda step: {noun: "\0".join(step.argv)}


def _text(noun: str) -> Callable[[Step], Mapping[str, str]]:
    return lambda step: {noun: step.text}


def _environment(step: Step, state: State) -> State:
    merged = dict(entry.partition("=")[::2] for entry in state.config.environment) | step.mapping
    return state.configured(environment=tuple(f"{name}={value}" for name, value in merged.items()))


def _arguments(step: Step, state: State) -> State:
    return replace(state, arguments={**state.arguments, **step.mapping})


def _expose(step: Step, state: State) -> State:
    ports = dict.fromkeys((*state.config.exposed_ports, *(_port(item) for item in step.argv)))
    return state.configured(exposed_ports=tuple(ports))


def _port(text: str) -> str:
    return text if "/" in text else f"{text}/tcp"


def _volumes(step: Step, state: State) -> State:
    return state.configured(volumes=tuple(dict.fromkeys((*state.config.volumes, *step.argv))))


def _entrypoint(step: Step, state: State) -> State:
    # As in a Dockerfile: a new entrypoint makes the base's command meaningless.
    changed = state.configured(entrypoint=step.argv)
    return changed if state.own_command else changed.configured(command=None)


def _command(step: Step, state: State) -> State:
    return replace(state.configured(command=step.argv), own_command=True)


SETTINGS: tuple[Setting, ...] = (
    Setting("env", _pairs, _named("environment"), _environment),
    Setting("label", _pairs, _named("label"),
            lambda step, state: state.configured(labels={**state.config.labels, **step.mapping})),
    Setting("arg", _pairs, _named("argument"), _arguments),
    Setting("user", lambda step: step.text, _text("user"),
            lambda step, state: state.configured(user=step.text)),
    Setting("expose", _argv, _list("port"), _expose),
    Setting("volume", _argv, _list("volume"), _volumes),
    Setting("entrypoint", _argv, _list("entrypoint"), _entrypoint),
    Setting("cmd", _argv, _list("command"), _command),
    Setting("onbuild", _argv, _list("trigger"),
            lambda step, state: state.configured(on_build=(*state.config.on_build, *step.argv))),
    Setting("shell", _argv, _list("shell"), lambda step, state: state.configured(shell=step.argv)),
    Setting("stopsignal", lambda step: step.text, _text("stop signal"),
            lambda step, state: state.configured(stop_signal=step.text)),
    Setting("healthcheck", lambda step: " ".join(step.healthcheck.test) if step.healthcheck else "",
            lambda step: {"health check": wire.encode(step.healthcheck).decode()},
            lambda step, state: state.configured(healthcheck=step.healthcheck)),
)  # fmt: skip
