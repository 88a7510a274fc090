"""A Provider in memory: the seam that the reconciler is tested by. It does what it is told and remembers the order."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from stackfile.engines.strategies import TABLE
from stackfile.errors import ActionError, StackfileError
from stackfile.model.container import ContainerRecord, ContainerState, NetworkRecord, VolumeRecord
from stackfile.model.observed import Observed, Project
from stackfile.model.stack import Stack
from stackfile.provider.engine import Progress
from stackfile.provider.provider import COMPLETED, Line, Result, Work
from tests.unit.reconcile import kit


class MemoryProvider:
    """`trace` has every begin and end; `fail` and `unhealthy` say what goes wrong; `gates` hold an action back."""

    def __init__(self) -> None:
        self.observed = Observed(project=None)
        self.trace: list[str] = []
        self.fail: dict[str, StackfileError] = {}
        self.unhealthy: dict[str, StackfileError] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.health_gates: dict[str, asyncio.Event] = {}
        self.builds: dict[str, str] = {}
        """Image → id that its build gives; images that are not named here are fresh."""
        self.projects: dict[str, Project] = {}

    def capabilities(self) -> Mapping[str, str]:
        return TABLE

    async def identity(self) -> dict[str, str]:
        return {"kind": "memory", "id": "0", "api": "1"}

    async def observe(self, name: str, stack: Stack | None, *, evaluate: bool = True) -> Observed:
        found = replace(self.observed, project=self.projects.get(name))
        if name != "p":
            return Observed(project=None)
        if stack is None:
            return found
        keys = {
            address: "" if address.startswith("secret.") and address not in self.observed.keys else value
            for address, value in kit.keys(stack).items()
        }
        images = {
            image: kit.evaluation(image, reason="changed" if image in self.builds else "") for image in stack.images
        }
        return replace(found, images=images, keys={**keys, **self.observed.keys})

    async def execute(self, work: Work, progress: Progress) -> Result:
        action = work.action
        name = f"{action.action} {action.address}"
        self.trace.append(name)
        await asyncio.sleep(0)
        if action.address in self.gates:
            await self.gates[action.address].wait()
        if action.address in self.fail:
            progress("it broke")
            raise self.fail[action.address]
        result = self._do(work)
        self.trace.append(f"{name} done")
        return result

    def _do(self, work: Work) -> Result:
        action = work.action
        kind, _, name = action.address.partition(".")
        if kind == "service":
            self._service(work)
            return Result(word="done")
        if kind == "image":
            return Result(word="built", image=self.builds.pop(name, kit.IMAGE))
        if kind == "network":
            record = NetworkRecord(
                id=name,
                name=f"p_{name}",
                labels={"com.docker.compose.project": "p", f"com.docker.compose.{kind}": name},
            )
            kept = () if action.action == "remove" else (record,)
            self.observed = replace(self.observed, networks=kept)
        if kind == "volume":
            made = VolumeRecord(
                name=f"p_{name}", labels={"com.docker.compose.project": "p", f"com.docker.compose.{kind}": name}
            )
            self.observed = replace(self.observed, volumes=() if action.action == "remove" else (made,))
        if kind in ("config", "secret") and action.action != "remove":
            key = kit.TOKEN if action.action == "generate" else kit.key("stored")
            if kind == "secret":
                self.observed = replace(self.observed, keys={**self.observed.keys, action.address: key})
                return Result(word="generated", keys={action.address: key})
        return Result(word="created")

    def _service(self, work: Work) -> None:
        found = {record.id: record for record in self.observed.containers}
        for instance in work.action.instances:
            old = found.pop(instance.container, None)
            if work.action.action == "remove":
                continue
            spec = work.specs.get(instance.index) or (old.spec if old else None)
            assert spec is not None
            running = work.start and work.action.action not in ("stop", "kill")
            found[spec.name] = replace(
                kit.container(spec), state=ContainerState(status="running" if running else "exited")
            )
        self.observed = replace(self.observed, containers=tuple(found.values()))

    async def wait(self, project: str, service: str, indices: Sequence[int], condition: str, timeout: float) -> Result:
        if service in self.health_gates:
            try:
                async with asyncio.timeout(timeout):
                    await self.health_gates[service].wait()
            except TimeoutError as error:
                raise ActionError("timeout", f"{service} is not healthy after {timeout:g} s") from error
        if service in self.unhealthy:
            raise self.unhealthy[service]
        self.trace.append(f"{condition} {service}")
        return Result(word="completed" if condition == COMPLETED else "healthy", detail="http://localhost:80")

    async def tail(self, project: str, service: str, lines: int) -> Sequence[Line]:
        return [Line(container=f"{project}-{service}-1", text="last words")]

    async def project_put(self, project: Project) -> None:
        self.projects[project.name] = project

    async def project_remove(self, name: str) -> None:
        self.projects.pop(name, None)

    def container(self, name: str) -> ContainerRecord:
        return next(record for record in self.observed.containers if record.spec.name == name)

    def begun(self) -> list[str]:
        """What was executed, in the order of beginning."""
        return [line for line in self.trace if " " in line and not line.endswith(" done") and "service_" not in line]
