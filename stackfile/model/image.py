"""Images as the engine knows them (OCI image-spec config.md and manifest.md)."""

from __future__ import annotations

from dataclasses import dataclass, field

from stackfile.model.stack import Healthcheck


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """The part of an OCI image config that a container inherits."""

    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    environment: tuple[str, ...] = ()
    """`NAME=value`, in order."""
    user: str = ""
    working_dir: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    exposed_ports: tuple[str, ...] = ()
    """`8000/tcp`."""
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    healthcheck: Healthcheck | None = None
    shell: tuple[str, ...] = ()
    on_build: tuple[str, ...] = ()
    """Dockerfile instructions that run when another image is built on this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    created_by: str
    empty_layer: bool = False
    comment: str = ""
    created: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """An image in the store. `id` is the digest of its config; `layers` are diff ids, lowest first."""

    id: str
    manifest: str
    """Digest of the manifest blob."""
    tags: tuple[str, ...] = ()
    """Full references: `docker.io/library/busybox:latest`."""
    created: str = ""
    """RFC 3339."""
    size: int = 0
    architecture: str = "amd64"
    os: str = "linux"
    layers: tuple[str, ...] = ()
    config: ImageConfig = ImageConfig()
    history: tuple[HistoryEntry, ...] = ()
    parent: str = ""
    variant: str = ""
    pulled: str = ""
    """When it was last pulled, RFC 3339; "" where it never was."""
    digests: tuple[str, ...] = ()
    """Where it was pulled from, by content: `docker.io/library/busybox@sha256:…`, the digest of the registry's index or
    manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAuth:
    """What a registry asks for; all empty where nobody logged in. Sent with a request, kept by no engine."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    """An OAuth2 refresh token."""
    registry_token: str = field(default="", repr=False)
    """A bearer token that is used as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedImage:
    """What a registry has under a reference: the digest of its index, of its manifest where it has no index."""

    reference: str
    """In full: `docker.io/library/busybox:latest`."""
    digest: str
    media_type: str = ""
    size: int = 0
    """Bytes of that document."""
    platforms: tuple[str, ...] = ()
    """`os/architecture[/variant]`, sorted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Progress of a pull or a load. `id` is the layer's short digest (or the tag), "" where it is about the whole.

    `status` is Docker's wording; `current` of `total` bytes, 0 where that has no meaning.
    """

    status: str
    id: str = ""
    current: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStatus:
    """What the cache says of one step. `reason` says why a miss is one: 'first build', 'app/web.py changed', …"""

    index: int
    kind: str
    text: str
    cached: bool
    reason: str = ""
    key: str = ""
    """What the cache knows the step by, its inputs included; "" where a step before it is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildEvaluation:
    """What a build of a stack image would do. `image` is the image's id when every step is cached."""

    name: str
    image: str = ""
    steps: tuple[StepStatus, ...] = ()
    unnamed: tuple[str, ...] = ()
    """Names that it should have and has not: they are another image's, or nobody's. A build gives them back."""

    @property
    def fresh(self) -> bool:
        return bool(self.image) and not self.unnamed


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """A finished build."""

    name: str
    image: str
    steps: tuple[StepStatus, ...]
    files: int = 0
    summary: str = ""
    """For a person: '41 files, 3 programs', '2 steps, on python'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextEntry:
    """One entry of a build context. type: file, dir, symlink. `path` is relative, `/`-separated, without `..`."""

    path: str
    type: str
    mode: int
    size: int = 0
    digest: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextManifest:
    """A build context by content: its digest (of the canonical JSON) is what a copy step carries."""

    entries: tuple[ContextEntry, ...]
