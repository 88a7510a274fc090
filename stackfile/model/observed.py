"""What exists, as the reconciler sees it: the other half of a diff."""

from __future__ import annotations

from dataclasses import dataclass, field

from stackfile.model.container import ContainerRecord, NetworkRecord, VolumeRecord
from stackfile.model.image import BuildEvaluation
from stackfile.model.stack import Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What the engine remembers of a stack. `stack` is the applied model; `generation` counts changes."""

    name: str
    directory: str = ""
    environment: str = ""
    stack: Stack | None = None
    generation: int = 0
    created: str = ""
    updated: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    """HMAC of the contents that were applied, named as in `Observed.keys`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A kernel fact that differs from what was applied. `place` is where it was read."""

    address: str
    field: str
    expected: str
    actual: str
    place: str
    container: str = ""
    index: int = 0
    """Replica that the fact is about, 0 for other resources."""
    since: str = ""
    """When it became so (RFC 3339), where that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A disagreement between database, files and kernel. `reason` is a row of errors.REASONS."""

    reason: str
    subject: str
    """The thing: `blob sha256:…`, `volume data`, `cgroup 3f…`."""
    found: str
    mend: str
    """What a repair does about it."""
    mended: bool = False
    failed: str = ""
    """Why a repair did not mend it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Everything of one project that exists now, and what its images would be."""

    project: Project | None
    containers: tuple[ContainerRecord, ...] = ()
    networks: tuple[NetworkRecord, ...] = ()
    volumes: tuple[VolumeRecord, ...] = ()
    images: dict[str, BuildEvaluation] = field(default_factory=dict)
    """Stack image → what its build would do."""
    references: dict[str, str] = field(default_factory=dict)
    """Reference of a service's image → image id, "" when it is not here."""
    pulled: dict[str, str] = field(default_factory=dict)
    """Reference of a service's image → when it was last pulled (RFC 3339), where it was."""
    time: str = ""
    """When this was observed, RFC 3339."""
    keys: dict[str, str] = field(default_factory=dict)
    """HMAC of the desired content: `config.NAME`, `secret.NAME`, `config.NAME@SERVICE/INDEX` where it differs by
    replica. "" for a secret that will be generated."""
    drift: tuple[Drift, ...] = ()
    architecture: str = ""
    """The machine's (as uname(2) says it), where a service of the stack asks for a platform."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions:
    """Options of up and plan."""

    services: tuple[str, ...] = ()
    """Empty for all; group names stand for their members. Dependencies come along unless `no_deps`."""
    build: bool = True
    force_build: bool = False
    force_recreate: bool = False
    no_recreate: bool = False
    no_deps: bool = False
    no_start: bool = False
    remove_orphans: bool = False
    adopt: bool = False
    """Take over a project of the same name from another directory."""
    switch_environment: bool = False
    yes: bool = False
    scale: dict[str, int] = field(default_factory=dict)
    wait: bool = True
    """Return when healthy."""
    hold: tuple[str, ...] = ()
    """Services whose own containers are left alone: only what they need is made."""
    timeout: int = 0
    """Seconds to wait for health; 0 for the default of 300."""
    stop_timeout: int | None = None
    parallel: int = 0
    pull: str = ""
    """always, missing or never, whatever the services say; "" leaves it to each service's pull_policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DownOptions:
    volumes: bool = False
    remove_orphans: bool = True
    rmi: str = ""
    """"", local or all."""
    stop_timeout: int | None = None
    services: tuple[str, ...] = ()
