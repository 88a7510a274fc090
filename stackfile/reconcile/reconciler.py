"""The facade: plans, and the jobs that change a project."""

from __future__ import annotations

from collections.abc import Sequence

from stackfile.model.observed import DownOptions, UpOptions
from stackfile.model.plan import Plan
from stackfile.model.stack import Stack
from stackfile.provider.provider import Provider
from stackfile.reconcile.jobs import Job, JobManager


class Reconciler:
    """Makes a project what its stack says. `jobs` has every job that was started here."""

    def __init__(self, provider: Provider, jobs: JobManager | None = None) -> None:
        self.jobs = jobs or JobManager()
        self._provider = provider

    async def plan(self, stack: Stack, options: UpOptions) -> Plan:
        """What `up` would do; changes nothing.

        Raises RefusedError (`environment-switch`, `directory-differs`, `needs-yes`), UsageError (`no-such-service`),
        NotFoundError (`image-not-found`, `not-found` for an external network or volume).
        """
        raise NotImplementedError

    def up(self, stack: Stack, options: UpOptions) -> Job:
        """Build, create and start what `plan` says, in parallel along the dependencies."""
        raise NotImplementedError

    def down(self, project: str, options: DownOptions) -> Job:
        """Remove containers and networks, with `volumes` all that is the project's. Needs no stack file."""
        raise NotImplementedError

    def build(self, stack: Stack, names: Sequence[str], no_cache: bool = False) -> Job:
        """Build these images of the stack (all for none), with the images that they are based on."""
        raise NotImplementedError

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
        take anonymous volumes along. Works from the applied model.
        """
        raise NotImplementedError
