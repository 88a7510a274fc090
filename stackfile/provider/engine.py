"""The Engine protocol: Docker's nouns, async. Implemented by `engines.embedded.engine.EmbeddedEngine`.

References to objects (`ref`) are an id, a unique prefix of one, or a name; unknown ones raise NotFoundError, ambiguous
ones ActionError (`ambiguous`). Every create is idempotent to undo: removing what is not there is not an error inside
the engine's own recovery, but is NotFoundError for a caller.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from stackfile.model.container import (
    ContainerRecord,
    ContainerSpec,
    EngineInfo,
    ExecRecord,
    ExecSpec,
    ExitStatus,
    NetworkRecord,
    Stats,
    VolumeRecord,
)
from stackfile.model.event import Event
from stackfile.model.image import (
    BuildEvaluation,
    BuildResult,
    ImageConfig,
    ImageRecord,
    RegistryAuth,
    ResolvedImage,
    Transfer,
)
from stackfile.model.observed import Drift, Fault, Project
from stackfile.model.stack import Attachment, Generate, ImageResource, SecretRef

STDIN, STDOUT, STDERR = 0, 1, 2


@dataclass(frozen=True, slots=True)
class LogChunk:
    """A piece of output: stream (1 stdout, 2 stderr), time in ns since the epoch, bytes.

    In `logs` a chunk is one line (with its newline, or without one when the line is still partial); in `attach` and
    `exec` it is whatever arrived.
    """

    stream: int
    time_ns: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    stdout: bool = True
    stderr: bool = True
    follow: bool = False
    since_ns: int = 0
    until_ns: int = 0
    tail: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLayer:
    """A layer where it lies: its chain id, directory, and bytes as a tar."""

    chain_id: str
    directory: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PathStat:
    """A file of a container. `mode` is that of stat(2); `link` is where a symbolic link leads, inside the root."""

    name: str
    size: int
    mode: int
    mtime_ns: int
    link: str = ""


class Streams(Protocol):
    """A live connection to a process: attach or exec. Always `close()` it."""

    tty: bool

    def output(self) -> AsyncIterator[LogChunk]:
        """Output until the process ends (or the container does)."""
        ...

    async def write(self, data: bytes) -> None:
        """Send to stdin; waits while the process does not read (back-pressure)."""
        ...

    async def close_stdin(self) -> None:
        """End of file on stdin (for a container only when `stdin_once`)."""
        ...

    async def close(self) -> None: ...


Progress = Callable[[str], None]
"""Receives one line for a person at a time."""


Transferred = Callable[[Transfer], None]
"""Receives the progress of a pull or a load; called in the engine's loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildStep:
    """Where the build of a Dockerfile is: a step begins (`image` is ""), or ended with the image so far."""

    number: int
    total: int
    text: str
    image: str = ""
    cached: bool = False


class Engine(Protocol):
    """An engine that holds containers."""

    async def info(self) -> EngineInfo: ...

    # ---- images
    async def image_list(self) -> Sequence[ImageRecord]: ...
    async def image_get(self, ref: str) -> ImageRecord:
        """Raises NotFoundError (`image-not-found`)."""
        ...

    async def image_tag(self, ref: str, tag: str) -> None: ...
    async def image_remove(self, ref: str, *, force: bool = False) -> Sequence[tuple[str, str]]:
        """Untag or delete. Returns ("untagged", ref) and ("deleted", id) pairs. ConflictError (`in-use`)."""
        ...

    async def image_pull(
        self,
        ref: str,
        *,
        platform: str = "",
        auth: RegistryAuth = RegistryAuth(),  # noqa: B008
        told: Transferred | None = None,
    ) -> ImageRecord:
        """Bring an image from its registry, under its name; what is here already is not fetched again.

        `platform` is `os/architecture[/variant]`, the machine's where it is "". NotFoundError (`image-not-found`),
        ActionError (`registry-denied`, `registry-unreachable`, `pull-failed`, `platform-missing`, `digest-mismatch`,
        `bad-archive`, `disk-full`).
        """
        ...

    async def image_resolve(self, ref: str, auth: RegistryAuth) -> ResolvedImage:
        """What the registry has under a reference; nothing is fetched. Errors as `image_pull` has them, and ActionError
        (`bad-request`) for what is no reference.
        """
        ...

    async def registry_check(self, domain: str, auth: RegistryAuth) -> None:
        """ActionError (`registry-denied`, `registry-unreachable`, `pull-failed`) unless the registry takes these
        credentials.
        """
        ...

    async def image_load(
        self, data: AsyncIterator[bytes], *, platform: str = "", told: Transferred | None = None
    ) -> Sequence[ImageRecord]:
        """The images of an archive: docker-archive or OCI layout as a tar, compressed or not. Errors as `image_pull`
        has them about content.
        """
        ...

    async def image_save(self, refs: Sequence[str], *, compress: str = "") -> AsyncIterator[bytes]:
        """A tar of these images that is a docker-archive and an OCI layout at once. References that are names go along
        as names; those that are ids carry none. `compress` says how layers are: gzip, zstd or "". Errors as
        `image_get`, before the first byte.
        """
        ...

    async def image_evaluate(self, images: Mapping[str, ImageResource]) -> dict[str, BuildEvaluation]:
        """What building these stack images would do, in dependency order; changes nothing."""
        ...

    async def image_build(
        self,
        images: Mapping[str, ImageResource],
        name: str,
        *,
        no_cache: bool = False,
        progress: Progress | None = None,
        report: Callable[[BuildStep], None] | None = None,
        credentials: Mapping[str, RegistryAuth] = {},
    ) -> BuildResult:
        """Build one stack image whose bases are built already. ActionError (`build-failed`).

        What it stands on and is not here is pulled, with the `credentials` of its registry.

        `report` is told the instructions of a Dockerfile one by one; `progress` then gets their output alone.
        """
        ...

    # ---- build contexts
    async def context_missing(self, digest: str, manifest: bytes) -> Sequence[str]:
        """Take a context manifest (verified against its digest); return the digests of files not here yet."""
        ...

    async def context_archive(self, data: AsyncIterator[bytes], dockerfile: str) -> tuple[str, str | None]:
        """Take a build context as a tar archive. Returns its manifest's digest, and the text of a file in it (None
        where there is no such file). ActionError (`bad-archive`, `unsafe-path`, `disk-full`).
        """
        ...

    async def blob_put(self, digest: str, data: AsyncIterator[bytes]) -> None:
        """Store content. ActionError (`digest-mismatch`) when it is not what the digest says."""
        ...

    # ---- containers
    async def container_create(self, spec: ContainerSpec) -> str:
        """Returns the id. ConflictError (`name-taken`), NotFoundError (`image-not-found`)."""
        ...

    async def container_start(self, ref: str) -> bool:
        """False when it was running already."""
        ...

    async def container_stop(self, ref: str, *, timeout: float | None = None, signal: str = "") -> bool:
        """Stop signal, grace, SIGKILL; by user's wish (restart policies stay quiet). False when not running."""
        ...

    async def container_restart(self, ref: str, *, timeout: float | None = None, signal: str = "") -> None: ...
    async def container_kill(self, ref: str, signal: str = "SIGKILL") -> None:
        """ConflictError (`not-running`)."""
        ...

    async def container_pause(self, ref: str) -> None: ...
    async def container_unpause(self, ref: str) -> None: ...
    async def container_remove(self, ref: str, *, force: bool = False, volumes: bool = False) -> None:
        """ConflictError (`already-running`) without `force`. `volumes` takes anonymous volumes along."""
        ...

    async def container_rename(self, ref: str, name: str) -> None: ...
    async def container_get(self, ref: str) -> ContainerRecord: ...
    async def container_list(self, *, project: str = "", all: bool = True) -> Sequence[ContainerRecord]:  # noqa: A002
        ...

    async def container_update(self, ref: str, spec: ContainerSpec) -> None:
        """Store `spec` and apply at once what can be applied to a running container (limits, ports, networks,
        file contents, health check, …); what cannot is applied at the next start. Never restarts."""
        ...

    async def container_wait(self, ref: str, condition: str = "not-running") -> ExitStatus:
        """condition: not-running, next-exit, removed."""
        ...

    async def container_wait_healthy(self, ref: str, timeout: float) -> ContainerRecord:
        """Until healthy (running is enough without a health check). ActionError: `unhealthy`, `exited-early`,
        `timeout`."""
        ...

    async def container_resize(self, ref: str, rows: int, columns: int) -> None: ...
    async def container_stats(self, ref: str) -> Stats: ...
    async def container_top(self, ref: str, options: str = "") -> tuple[list[str], list[list[str]]]:
        """Titles and rows of the container's processes; `options` are ps(1)'s, -ef by default."""
        ...

    def container_logs(self, ref: str, query: LogQuery) -> AsyncIterator[LogChunk]: ...
    async def container_attach(
        self, ref: str, *, stdin: bool, stdout: bool = True, stderr: bool = True, logs: bool = False
    ) -> Streams:
        """Works before start: output begins with the first byte after the attach (all of it with `logs`)."""
        ...

    # ---- files of containers
    async def container_path(self, ref: str, path: str) -> PathStat:
        """What `path` in the container is; running or not. NotFoundError."""
        ...

    async def container_read(self, ref: str, path: str) -> tuple[PathStat, AsyncIterator[bytes]]:
        """`path` as a tar. NotFoundError."""
        ...

    async def container_write(
        self, ref: str, path: str, data: AsyncIterator[bytes], *, keep_types: bool = False, own: bool = False
    ) -> None:
        """Unpack a tar into a directory. NotFoundError; ActionError: `bad-archive`, `unsafe-path`, `bad-request`."""
        ...

    async def container_changes(self, ref: str) -> Sequence[tuple[int, str]]:
        """What differs from the image: (0 modified, 1 added, 2 deleted; path)."""
        ...

    async def container_usage(self, ref: str) -> int:
        """Bytes of the writable layer."""
        ...

    async def container_export(self, ref: str) -> AsyncIterator[bytes]:
        """The root file system as a tar."""
        ...

    async def container_commit(
        self, ref: str, config: ImageConfig, *, tag: str = "", comment: str = "", author: str = ""
    ) -> ImageRecord: ...

    async def image_import(
        self, data: AsyncIterator[bytes], config: ImageConfig, *, tag: str = "", comment: str = ""
    ) -> ImageRecord:
        """An image of one layer from a tar, perhaps compressed. ActionError (`bad-archive`)."""
        ...

    def image_layers(self, ref: str) -> Sequence[ImageLayer]:
        """An image's layers, topmost first. NotFoundError (`image-not-found`)."""
        ...

    # ---- exec
    async def exec_create(self, ref: str, spec: ExecSpec) -> str: ...
    async def exec_start(self, exec_id: str, *, detach: bool = False) -> Streams | None: ...
    async def exec_get(self, exec_id: str) -> ExecRecord: ...
    async def exec_resize(self, exec_id: str, rows: int, columns: int) -> None: ...

    # ---- networks and volumes
    async def network_create(self, spec: NetworkRecord) -> str:
        """`spec.id`, `.interface` and empty subnets are filled by the engine. Returns the id."""
        ...

    async def network_get(self, ref: str) -> NetworkRecord: ...
    async def network_list(self, *, project: str = "") -> Sequence[NetworkRecord]: ...
    async def network_repair(self, ref: str) -> None:
        """Have all of a network in the kernel again, below its running containers. NotFoundError."""
        ...

    async def network_remove(self, ref: str) -> None:
        """ConflictError (`network-in-use`)."""
        ...

    async def network_connect(self, ref: str, container: str, attachment: Attachment) -> None: ...
    async def network_disconnect(self, ref: str, container: str, *, force: bool = False) -> None: ...
    async def volume_create(self, spec: VolumeRecord) -> VolumeRecord: ...
    async def volume_get(self, name: str) -> VolumeRecord: ...
    async def volume_list(self, *, project: str = "") -> Sequence[VolumeRecord]: ...
    async def volume_usage(self, name: str) -> int:
        """Bytes of its files. NotFoundError."""
        ...

    async def volume_remove(self, name: str) -> None:
        """ConflictError (`volume-in-use`)."""
        ...

    # ---- content of configs and secrets
    async def file_key(self, data: bytes) -> str:
        """The HMAC that `file_put` would answer, without storing."""
        ...

    async def file_put(self, project: str, kind: str, name: str, data: bytes) -> str:
        """Keep content; returns its key (for FileMount.key, ContainerSpec.secret_keys)."""
        ...

    async def secret_resolve(
        self,
        project: str,
        name: str,
        content: tuple[str | SecretRef, ...] | None,
        generate: Generate | None,
        *,
        create: bool,
    ) -> str:
        """Key of a secret: composed from others, or generated once and kept. "" when it would have to be generated
        and `create` is false."""
        ...

    async def file_remove(self, project: str, kind: str = "", name: str = "") -> None:
        """Forget contents (all of the project, of a kind, or one)."""
        ...

    async def file_names(self, project: str, kind: str) -> Sequence[str]: ...

    # ---- projects
    async def project_get(self, name: str) -> Project | None: ...
    async def project_put(self, project: Project) -> None: ...
    async def project_remove(self, name: str) -> None: ...
    async def project_list(self) -> Sequence[Project]: ...

    # ---- facts and events
    async def drift(self, project: str) -> Sequence[Drift]:
        """Kernel facts that differ from what was applied."""
        ...

    async def doctor(self) -> Sequence[tuple[str, str, str, str]]:
        """(check, status ok|warning|missing, what was found, how to mend it)."""
        ...

    async def fsck(self, *, repair: bool, quick: bool, progress: Progress) -> Sequence[Fault]:
        """What database, files and kernel disagree about; `repair` mends it, `quick` reads no contents."""
        ...

    async def settle(self) -> None:
        """Finish what happens in the background and give up what is made ahead: what is left is in use."""
        ...

    def busy(self) -> Sequence[str]:
        """What goes on in the background, in a few words each; empty when all is settled."""
        ...

    def events(self, *, since: int = 0, follow: bool = True, until_ns: int = 0) -> AsyncIterator[Event]:
        """Events with a sequence number above `since` (0: from now on when following)."""
        ...

    def publish(self, kind: str, action: str, identity: str, attributes: Mapping[str, str]) -> None:
        """Put an event on the bus."""
        ...
