"""The facade: plans, and the jobs that change a project."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import stackfile
from stackfile import graph as graphs
from stackfile.errors import NotFoundError, UsageError
from stackfile.model.container import ContainerSpec
from stackfile.model.image import RegistryAuth
from stackfile.model.observed import DownOptions, Drift, Observed, UpOptions
from stackfile.model.plan import Plan
from stackfile.model.stack import SecretResource, Stack
from stackfile.provider.provider import Provider
from stackfile.reconcile import drifts, plan, saved, selection
from stackfile.reconcile.apply import Up
from stackfile.reconcile.builds import Build
from stackfile.reconcile.context import Context
from stackfile.reconcile.down import Down
from stackfile.reconcile.instantiate import instantiate
from stackfile.reconcile.jobs import Job, JobManager, Outcome
from stackfile.reconcile.lifecycle import Lifecycle, LifecycleOptions
from stackfile.reconcile.pulls import Pull

Credentials = Mapping[str, RegistryAuth]
"""By registry; used for the pulls of one job."""


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Reconciler:
    """Makes a project what its stack says. `jobs` has every job that was started here.

    Needs a running asyncio loop; one instance per provider, since its jobs are the lock of each project.
    """

    def __init__(self, provider: Provider, jobs: JobManager | None = None, *, now: Callable[[], str] = _now) -> None:
        self.jobs = jobs or JobManager()
        self._provider = provider
        self._now = now

    async def plan(self, stack: Stack, options: UpOptions, *, inputs: Sequence[dict[str, str]] | None = None) -> Plan:
        """What `up` would do; changes nothing. With `inputs` (digests of what was read) a plan to save and `apply`.

        Raises RefusedError (`environment-switch`, `directory-differs`, `needs-yes`), UsageError (`no-such-service`),
        NotFoundError (`image-not-found`, `not-found` for an external network or volume).
        """
        made, _ = await self._plan(stack, options)
        return saved.digested(made) if inputs is None else saved.complete(made, stack, inputs)

    def up(self, stack: Stack, options: UpOptions, credentials: Credentials | None = None) -> Job:
        """Build, pull, create and start what `plan` says, in parallel along the dependencies."""

        async def body(job: Job) -> Outcome:
            made, observed = await self._plan(stack, options)
            return await Up(self._provider, job, stack, options, observed, made, self._now, credentials or {}).run()

        return self.jobs.start("up", stack.name, body)

    def apply(
        self,
        document: Mapping[str, Any],
        secrets: Mapping[str, SecretResource],
        *,
        wait: bool = True,
        timeout: int = 0,
        credentials: Credentials | None = None,
    ) -> Job:
        """Do exactly what a saved plan says. `secrets` are the contents of those that it stores.

        Raises StackError (`bad-value`), RefusedError (`stale-plan`) for what is no plan of ours; the job fails with
        RefusedError (`stale-plan`) when what the plan rests on has changed.
        """
        planned, wanted, options = saved.read(document)
        stack = saved.with_contents(wanted, secrets)
        options = replace(options, wait=wait, timeout=timeout or options.timeout)

        async def body(job: Job) -> Outcome:
            made, observed = await self._plan(stack, options)
            context = Context.of(stack, observed, options, self._provider.capabilities())
            saved.check(planned, made, context)
            return await Up(self._provider, job, stack, options, observed, planned, self._now, credentials or {}).run()

        return self.jobs.start("apply", stack.name, body)

    async def spec(self, stack: Stack, service: str) -> ContainerSpec:
        """The first replica of a service as the container it would be. Raises UsageError (`no-such-service`),
        NotFoundError (`image-not-found`) while its image is neither built nor pulled.
        """
        if service not in stack.services:
            raise UsageError("no-such-service", f"no such service: {service}")
        options = UpOptions(services=(service,), no_deps=True)
        observed = await self._provider.observe(stack.name, _narrowed(stack, options))
        context = Context.of(stack, observed, options, self._provider.capabilities())
        made = instantiate(stack, service, 1, context.knowledge)
        if not made.image:
            raise NotFoundError("image", stack.services[service].image, reason="image-not-found")
        return made

    async def drift(self, project: str) -> list[Drift]:
        """What of a project is not as it was applied. Needs no stack file. Raises NotFoundError."""
        observed = await self._provider.observe(project, None)
        if observed.project is None:
            raise NotFoundError("project", project)
        return drifts.find(observed.project, observed)

    def down(self, project: str, options: DownOptions) -> Job:
        """Remove containers and networks, with `volumes` all that is the project's. Needs no stack file."""

        async def body(job: Job) -> Outcome:
            return await Down(self._provider, job, project, options).run()

        return self.jobs.start("down", project, body)

    def build(
        self, stack: Stack, names: Sequence[str], no_cache: bool = False, credentials: Credentials | None = None
    ) -> Job:
        """Build these images of the stack (all for none), with the images that they are based on."""

        async def body(job: Job) -> Outcome:
            return await Build(self._provider, job, stack, names, no_cache, credentials or {}).run()

        return self.jobs.start("build", stack.name, body)

    def pull(
        self, stack: Stack, names: Sequence[str], policy: str = "always", credentials: Credentials | None = None
    ) -> Job:
        """Pull the images of these services (all for none) that are not the stack's own; `policy`: always, missing."""

        async def body(job: Job) -> Outcome:
            return await Pull(self._provider, job, stack, names, policy, credentials or {}).run()

        return self.jobs.start("pull", stack.name, body)

    def lifecycle(
        self,
        verb: str,
        project: str,
        services: Sequence[str] = (),
        *,
        timeout: int | None = None,
        signal: str = "",
        force: bool = False,
        volumes: bool = False,
    ) -> Job:
        """start, stop, restart, kill or rm of these services (groups, or all), in dependency order.

        `timeout` is the grace in seconds; `signal` is for kill; `force` lets rm stop what runs; `volumes` lets it
        take anonymous volumes along. Works from the applied model. The job fails with UsageError (`unknown-verb`,
        `no-such-service`) or NotFoundError.
        """
        options = LifecycleOptions(
            services=tuple(services), timeout=timeout, signal=signal, force=force, volumes=volumes
        )

        async def body(job: Job) -> Outcome:
            return await Lifecycle(self._provider, job, verb, project, options).run()

        return self.jobs.start(verb, project, body)

    async def _plan(self, stack: Stack, options: UpOptions) -> tuple[Plan, Observed]:
        observed = await self._provider.observe(stack.name, _narrowed(stack, options), evaluate=options.build)
        made = plan.make(
            stack,
            observed,
            options,
            self._provider.capabilities(),
            engine=await self._provider.identity(),
            created=self._now(),
            generator=f"stackfile {stackfile.__version__}",
        )
        if options.hold:
            held = {f"service.{name}" for name in options.hold}
            made = replace(made, actions=tuple(item for item in made.actions if item.address not in held))
        return made, observed


def _narrowed(stack: Stack, options: UpOptions) -> Stack:
    """The part of the stack that the options are about: images that nobody runs need no evaluation."""
    names = selection.expand(options.services, stack.services, stack.groups)
    wanted = selection.closure(graphs.build(stack), names, no_deps=options.no_deps)
    return replace(
        stack,
        images={name: item for name, item in stack.images.items() if f"image.{name}" in wanted},
        services={name: item for name, item in stack.services.items() if f"service.{name}" in wanted},
    )
