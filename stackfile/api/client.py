"""The client of a daemon: one method a request, typed results, streams as iterators."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from stackfile import wire
from stackfile.api import commands, lasting, transfers
from stackfile.api.hijacked import Hijacked
from stackfile.api.http import Answer, Transport, path_of
from stackfile.api.lasting import Wait
from stackfile.api.replies import Finding, JobInfo, LogLine, Ping, Process
from stackfile.api.transfers import Told
from stackfile.errors import ActionError, EngineError, NotFoundError, StackfileError
from stackfile.model.container import (
    ContainerRecord,
    ContainerSpec,
    ExecRecord,
    ExecSpec,
    ExitStatus,
    NetworkRecord,
    VolumeRecord,
)
from stackfile.model.event import Event, JobEvent
from stackfile.model.image import ImageRecord, RegistryAuth, ResolvedImage, Transfer
from stackfile.model.observed import DownOptions, Drift, Project, UpOptions
from stackfile.model.plan import Plan
from stackfile.model.stack import SecretResource, Stack

if TYPE_CHECKING:
    from stackfile.api.stacks import Upload

OURS = ("stackfile", "v1")
_UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}
_HEADER = 8
_CHUNK = 1 << 18
_STOP_TIMEOUT = 20.0
_UPGRADE_TIMEOUT = 120.0
"""Seconds: jobs are waited for."""


def _silent(progress: Transfer) -> None:
    """Nobody listens."""


class Client:
    """Speaks to one daemon. Made by `connect`. Not to be shared by threads while a stream is read."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.environ: Mapping[str, str] = os.environ
        """Says where the caller keeps credentials for registries (HOME, DOCKER_CONFIG)."""

    @property
    def host(self) -> str:
        """Where the daemon listens: a socket's path, or a URL."""
        return str(self._transport.address)

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    # ---- the daemon

    def ping(self, *, timeout: float = 10.0) -> Ping:
        return wire.decode(self._get("ping", timeout=timeout, what="the daemon's first answer"), Ping)

    def processes(self) -> list[Process]:
        """The engine's processes, the supervisor first."""
        return wire.decode(self._get("processes"), list[Process])

    def doctor(self) -> list[Finding]:
        return wire.decode(self._get("doctor"), list[Finding])

    def fsck(self, *, repair: bool = False, quick: bool = False) -> Iterator[JobEvent]:
        """Compare database, files and kernel; the result of the job's end is {"faults": [Fault, …]}."""
        body = wire.encode({"repair": repair, "quick": quick})
        return self._stream("POST", path_of(*OURS, "fsck"), body)

    def upgrade(self, python: str) -> None:
        """Have the engine become the newer version of this interpreter; it is about to when this returns.

        EngineError (`engine-incompatible`), ConflictError while a job runs.
        """
        self._post({"python": python}, "upgrade", timeout=_UPGRADE_TIMEOUT, what="upgrade of the engine")

    def shutdown(self, force: bool = False) -> None:
        """End the daemon and what belongs to it; returns when nobody answers any more.

        ConflictError while containers run, unless `force` stops them first.
        """
        self._transport.json("POST", path_of(*OURS, "shutdown", force=force), timeout=None, what="daemon stop")
        deadline = time.monotonic() + _STOP_TIMEOUT
        while time.monotonic() < deadline:
            try:
                # Not only that nobody answers: what still listens would take the next command, and drop it.
                self._transport.close()
                self._transport.connect()
            except EngineError:
                return
            time.sleep(0.02)
        raise ActionError("timeout", f"the daemon at {self.host} still answers after {_STOP_TIMEOUT:g} s")

    def docker(self, method: str, *parts: str, value: object = None, **query: object) -> Any:
        """A request of the Docker family, for what has no method here (version, info, top, stats); parsed JSON."""
        body = self._transport.json(method, path_of(*parts, **query), value)
        return json.loads(body) if body.strip() else None

    # ---- stacks

    def plan(self, stack: Stack, options: UpOptions = UpOptions()) -> Plan:  # noqa: B008
        """What `up` would do. Uploads what the stack's copy steps read first."""
        stack = self.upload(commands.resolve(stack))
        return self._plan({"stack": stack, "options": options})

    def plan_to_save(self, stack: Stack, options: UpOptions, contents: Mapping[str, bytes]) -> dict[str, Any]:
        """The document of a plan that `apply` can do later. `contents` are the files that `stack` was loaded from."""
        from stackfile.api import inputs

        stack = self.upload(commands.resolve(stack))
        digests = inputs.digests(stack, contents, self.keys)
        return wire.to_document(self._plan({"stack": stack, "options": options, "inputs": digests}))

    def apply(
        self, document: dict[str, Any], secrets: Mapping[str, SecretResource], options: UpOptions
    ) -> Iterator[JobEvent]:
        """Do exactly what a saved plan says, with the contents of the secrets that it stores.

        Raises RefusedError (`stale-plan`) when one of the plan's inputs differs, StackError (`bad-value`) for
        something that is no plan; the job fails with `stale-plan` when the machine differs.
        """
        from stackfile.api import inputs

        plan, stack = wire.read_plan(document)
        given = commands.resolve(replace(stack, secrets=dict(secrets))).secrets
        stack = replace(stack, secrets={**stack.secrets, **given})
        _, uploads = inputs.check(stack, plan.fingerprint.inputs, self.keys)
        self._send(uploads)
        body = {"kind": "apply", "plan": document, "secrets": given, "options": options}
        return self._job({**body, "credentials": self._credentials(stack, "")})

    def keys(self, contents: Sequence[bytes]) -> list[str]:
        """HMACs of contents under the engine's key."""
        body = {"contents": [base64.b64encode(data).decode() for data in contents]}
        return list(json.loads(self._post(body, "keys"))["keys"])

    def drift(self, project: str) -> list[Drift]:
        """What is not as it was applied. Raises NotFoundError for an unknown project."""
        return wire.decode(self._get("projects", project, "drift", timeout=None, what="drift"), list[Drift])

    def up(self, stack: Stack, options: UpOptions = UpOptions()) -> Iterator[JobEvent]:  # noqa: B008
        """Make the machine match. Closing the iterator counts as an interrupt."""
        body = {"kind": "up", "stack": self.upload(commands.resolve(stack)), "options": options}
        return self._job({**body, "credentials": self._credentials(stack, options.pull)})

    def down(self, project: str, options: DownOptions = DownOptions()) -> Iterator[JobEvent]:  # noqa: B008
        return self._job({"kind": "down", "project": project, "options": options})

    def build(self, stack: Stack, names: Sequence[str] = (), no_cache: bool = False) -> Iterator[JobEvent]:
        """Build the named stack images (all when empty) and what they stand on."""
        body = {"kind": "build", "stack": self.upload(stack), "names": list(names), "options": {"no_cache": no_cache}}
        return self._job({**body, "credentials": self._credentials(stack, "")})

    def pull(self, stack: Stack, names: Sequence[str] = (), policy: str = "always") -> Iterator[JobEvent]:
        """Pull the images of the named services (all when empty) that are not the stack's own.

        `policy` missing leaves alone what is here.
        """
        body = {"kind": "pull", "stack": stack, "names": list(names), "options": {"policy": policy}}
        return self._job({**body, "credentials": self._credentials(stack, policy)})

    def lifecycle(self, verb: str, project: str, services: Sequence[str] = (), **options: object) -> Iterator[JobEvent]:
        """verb: start, stop, restart, kill, rm. Options as the verb has them (timeout, signal, volumes, force)."""
        return self._job({"kind": verb, "project": project, "services": list(services), "options": options})

    def spec(self, stack: Stack, service: str) -> ContainerSpec:
        """The container that a service asks for, as its first replica. Raises NotFoundError (`image-not-found`)."""
        body = {"stack": self.upload(stack), "service": service}
        return wire.decode(self._post(body, "specs", timeout=None, what=f"the container of {service}"), ContainerSpec)

    def interrupt(self, job_id: str) -> None:
        """Start nothing new in this job; what is under way is finished."""
        self._post(None, "jobs", job_id, "interrupt")

    def jobs(self) -> list[JobInfo]:
        return wire.decode(self._get("jobs"), list[JobInfo])

    def job_events(self, job_id: str, after: int = 0) -> Iterator[JobEvent]:
        """Events of a job with a sequence number above `after`, until its end. Closing it leaves the job alone."""
        return self._stream("GET", path_of(*OURS, "jobs", job_id, "events", after=after), None)

    def upload(self, stack: Stack) -> Stack:
        """Read what the stack's copy steps name, send what the engine lacks; the stack with its contexts filled."""
        from stackfile.api.stacks import contexts_of

        stack, contexts = contexts_of(stack)
        self._send(contexts)
        return stack

    def _send(self, contexts: Sequence[Upload]) -> None:
        for context in contexts:
            answer = json.loads(
                self._post({"digest": context.digest, "manifest": context.text}, "contexts", what="the build context")
            )
            for digest in answer["missing"]:
                self._put_blob(digest, context.read(digest))

    def _plan(self, body: dict[str, object]) -> Plan:
        return wire.decode(self._post(body, "plan", timeout=None, what="the plan"), Plan)

    # ---- what exists

    def projects(self, directories: Sequence[str] = ()) -> list[Project]:
        """All, or those that come from one of `directories` (real paths)."""
        chosen = json.dumps(list(directories)) if directories else None
        target = path_of(*OURS, "projects", directories=chosen)
        return wire.decode(self._transport.json("GET", target), list[Project])

    def project(self, name: str) -> Project:
        """Raises NotFoundError."""
        return wire.decode(self._get("projects", name), Project)

    def containers(self, project: str = "") -> list[ContainerRecord]:
        """All containers, or those of a project, running or not."""
        body = self._get("projects", project, "containers") if project else self._get("containers")
        return wire.decode(body, list[ContainerRecord])

    def container(self, ref: str) -> ContainerRecord:
        """By id, unique prefix of one, or name. Raises NotFoundError."""
        return wire.decode(self._get("containers", ref), ContainerRecord)

    def images(self) -> list[ImageRecord]:
        return wire.decode(self._get("images"), list[ImageRecord])

    def image(self, ref: str) -> ImageRecord:
        """Raises NotFoundError (`image-not-found`)."""
        return wire.decode(self._get("images", ref), ImageRecord)

    def pull_image(
        self,
        ref: str,
        *,
        platform: str = "",
        auth: RegistryAuth = RegistryAuth(),  # noqa: B008
        told: Told = _silent,
    ) -> ImageRecord:
        """Bring an image from its registry. `auth` is used for this alone; `told` hears of the progress."""
        return transfers.pull(self._transport, ref, platform, auth, told)

    def resolve_image(self, ref: str, *, auth: RegistryAuth = RegistryAuth()) -> ResolvedImage:  # noqa: B008
        """What a registry has under a reference now; nothing is fetched. Errors as of `pull_image`."""
        body = {"reference": ref, "auth": auth}
        return wire.decode(self._post(body, "images", "resolve", timeout=None, what=f"digest of {ref}"), ResolvedImage)

    def check_registry(self, host: str, auth: RegistryAuth) -> None:
        """ActionError (`registry-denied`, `registry-unreachable`) unless the registry takes these credentials."""
        self._post({"host": host, "auth": auth}, "registry-check", timeout=None, what=f"answer of registry {host}")

    def load_images(self, data: Iterator[bytes], *, platform: str = "", told: Told = _silent) -> list[ImageRecord]:
        """The images of an archive (docker-archive or OCI layout as a tar)."""
        return transfers.load(self._transport, data, platform, told)

    def save_images(self, names: Sequence[str], *, compress: str = "") -> Iterator[bytes]:
        """An archive of images, a docker-archive and an OCI layout at once, in pieces."""
        return transfers.save(self._transport, names, compress)

    def tag_image(self, ref: str, tag: str) -> None:
        """Give an image one more name."""
        repository, _, name = tag.rpartition(":")
        if not repository or "/" in name:
            repository, name = tag, "latest"
        self._transport.json("POST", path_of("images", ref, "tag", repo=repository, tag=name))

    def remove_image(self, ref: str, *, force: bool = False) -> list[tuple[str, str]]:
        """("untagged", name) and ("deleted", id) pairs. ConflictError (`in-use`)."""
        done = self.docker("DELETE", "images", ref, force=force)
        return [(what.lower(), name) for entry in done for what, name in entry.items()]

    def events(
        self,
        *,
        since: int = 0,
        since_ns: int = 0,
        until_ns: int = 0,
        follow: bool = True,
        project: str = "",
        services: Sequence[str] = (),
    ) -> Iterator[Event]:
        """Events above sequence number `since`, or from a time on (nanoseconds since the epoch) until another.

        `follow` goes on over a daemon that dies, without gap or double.
        """

        def ask(since: int, since_ns: int) -> Iterator[Event]:
            target = path_of(
                *OURS, "events", since=since, follow=follow, project=project or None, since_ns=since_ns or None,
                until_ns=until_ns or None,
            )  # fmt: skip
            target += "".join(f"&service={quote(name)}" for name in services)
            with self._transport.request("GET", target, timeout=None) as answer:
                for line in answer.lines():
                    yield wire.decode(line, Event)

        if not follow:
            return ask(since, since_ns)
        return lasting.events(ask, self._transport.address, since, since_ns)

    # ---- one container

    def create(self, spec: ContainerSpec) -> str:
        """Create a container; `spec.image` may be a reference. Returns the id."""
        return str(json.loads(self._post(spec, "containers"))["id"])

    def run(self, spec: ContainerSpec) -> Hijacked:
        """`create`, `attach` and `start` in one request; the stream knows the container's id, and its end at last.

        A container that cannot be started stays, unless it has `auto_remove`.
        """
        target = path_of(*OURS, "containers", "run")
        return self._hijack(target, wire.encode(spec), spec.tty, framed=True)

    def start(self, ref: str) -> None:
        """No error when it is running already."""
        self._container("POST", ref, "start", timeout=None)

    def stop(self, ref: str, timeout: float | None = None) -> None:
        """`timeout`: seconds until SIGKILL, the container's own grace when None."""
        self._container("POST", ref, "stop", t=timeout, timeout=None)

    def restart(self, ref: str, timeout: float | None = None) -> None:
        self._container("POST", ref, "restart", t=timeout, timeout=None)

    def pause(self, ref: str) -> None:
        """ConflictError (`not-running`)."""
        self._container("POST", ref, "pause")

    def unpause(self, ref: str) -> None:
        """ConflictError unless it is paused."""
        self._container("POST", ref, "unpause")

    def rename(self, ref: str, name: str) -> None:
        """ConflictError (`name-taken`)."""
        self._container("POST", ref, "rename", name=name)

    def kill(self, ref: str, signal: str = "SIGKILL") -> None:
        """ConflictError (`not-running`)."""
        self._container("POST", ref, "kill", signal=signal)

    def remove(self, ref: str, *, force: bool = False, volumes: bool = False) -> None:
        """`volumes` takes anonymous volumes along."""
        self._transport.json(
            "DELETE", path_of("containers", ref, force=force, v=volumes), timeout=None, what=f"removal of {ref}"
        )

    def wait(self, ref: str, condition: str = "not-running") -> ExitStatus:
        """Until `condition`: not-running, next-exit, removed. Registered when the answer's head arrives.

        With `not-running` a later daemon is asked when this one dies.
        """
        return self._wait(ref, condition, lasting=condition == "not-running")()

    def wait_started(self, ref: str, condition: str = "not-running") -> Wait:
        """Register the wait now; calling the result blocks for the end. Lets `start` come in between.

        It ends with this daemon, as what is attached meanwhile does.
        """
        return self._wait(ref, condition, lasting=False)

    def _wait(self, ref: str, condition: str, *, lasting: bool) -> Wait:
        target = path_of("containers", ref, "wait", condition=condition)
        return Wait(self._transport, target, f"the end of {ref}", lasting=lasting)

    def attach(
        self,
        ref: str,
        *,
        stdin: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        logs: bool = False,
        tty: bool | None = None,
    ) -> Hijacked:
        """Works before start. Output begins with the first byte after the attach (all of it with `logs`).

        What is sent is sent, no keys detach. `tty`: whether the container has one, asked for where it is not said.
        """
        tty = self.container(ref).spec.tty if tty is None else tty
        target = path_of(
            "containers", ref, "attach", stream=1, stdin=stdin, stdout=stdout, stderr=stderr, logs=logs, detach=False
        )
        return self._hijack(target, None, tty)

    def resize(self, ref: str, rows: int, columns: int) -> None:
        self._container("POST", ref, "resize", h=rows, w=columns)

    def logs(
        self,
        container: str,
        *,
        follow: bool = False,
        tail: int | None = None,
        since_ns: int = 0,
        until_ns: int = 0,
        stdout: bool = True,
        stderr: bool = True,
    ) -> Iterator[LogLine]:
        """Lines of a container's output in order of time. `since_ns` and `until_ns` count from the epoch.

        `follow` goes on over a daemon that dies, without gap or double.
        """

        def ask(since_ns: int, tail: int | None) -> Iterator[LogLine]:
            target = path_of(
                "containers", container, "logs", stdout=stdout, stderr=stderr, follow=follow, timestamps=1,
                tail="all" if tail is None else tail,
                since=_seconds(since_ns), until=_seconds(until_ns),
            )  # fmt: skip
            with self._transport.request("GET", target, timeout=None) as answer:
                # A TTY's log is not multiplexed: each line begins with its time.
                if answer.header("Content-Type") == "application/vnd.docker.raw-stream":
                    for line in answer.lines():
                        yield _log_line(1, line + b"\n")
                    return
                while len(header := answer.read_exactly(_HEADER)) == _HEADER:
                    yield _log_line(header[0], answer.read_exactly(int.from_bytes(header[4:], "big")))

        if not follow:
            return ask(since_ns, tail)
        return lasting.lines(ask, self._transport.address, since_ns, tail)

    # ---- files of a container

    def path_stat(self, ref: str, path: str) -> dict[str, Any]:
        """name, size, mode (bits of Go's os.FileMode), mtime, linkTarget of a file. Raises NotFoundError."""
        target = path_of("containers", ref, "archive", path=path)
        try:
            with self._transport.request("HEAD", target) as answer:
                answer.read()
                return dict(json.loads(base64.b64decode(answer.header("X-Docker-Container-Path-Stat"))))
        except StackfileError as error:
            # The answer to HEAD has no body that would say what is missing.
            if error.reason != "not-found":
                raise
            name = self.container(ref).spec.name
            raise NotFoundError("file", f"{path} in {name}") from error

    def read_archive(self, ref: str, path: str) -> Iterator[bytes]:
        """A file or directory of a container as a tar. Raises NotFoundError."""
        target = path_of("containers", ref, "archive", path=path)
        return self._chunks(self._transport.request("GET", target, timeout=None))

    def write_archive(self, ref: str, path: str, data: Iterator[bytes], *, own: bool = False) -> None:
        """Unpack a tar into a directory of a container; `own` gives all to the container's user.

        NotFoundError; ActionError: `bad-archive`, `unsafe-path`, `bad-request`.
        """
        target = path_of("containers", ref, "archive", path=path, noOverwriteDirNonDir=True, copyUIDGID=own)
        with self._transport.request("PUT", target, body=data, timeout=None, what=f"copy to {ref}:{path}") as answer:
            answer.read()

    @staticmethod
    def _chunks(answer: Answer) -> Iterator[bytes]:
        with answer:
            while data := answer.read_exactly(_CHUNK):
                yield data

    # ---- networks and volumes

    def networks(self) -> list[NetworkRecord]:
        return wire.decode(self._get("networks"), list[NetworkRecord])

    def remove_network(self, ref: str) -> None:
        """ConflictError (`network-in-use`), NotFoundError."""
        self._transport.json("DELETE", path_of("networks", ref))

    def volumes(self) -> list[VolumeRecord]:
        return wire.decode(self._get("volumes"), list[VolumeRecord])

    def remove_volume(self, name: str) -> None:
        """ConflictError (`volume-in-use`), NotFoundError."""
        self._transport.json("DELETE", path_of("volumes", name), timeout=None)

    # ---- the machine

    def settle(self, timeout: float = 30.0) -> None:
        """Until nothing is done in the background any more: removals, pools, first health checks, jobs.

        ActionError (`timeout`) names what is still going on.
        """
        body = self._transport.json("POST", path_of(*OURS, "settle", timeout=timeout), timeout=timeout + 10)
        busy = json.loads(body)["busy"]
        if busy:
            raise ActionError("timeout", f"still busy after {timeout:g} s: {', '.join(busy)}")

    # ---- exec

    def exec_create(self, ref: str, spec: ExecSpec) -> str:
        """Returns the id of the exec."""
        body = {
            "AttachStdin": spec.stdin, "AttachStdout": spec.stdout, "AttachStderr": spec.stderr, "Tty": spec.tty,
            "Cmd": list(spec.argv), "Env": list(spec.environment), "User": spec.user, "WorkingDir": spec.working_dir,
            "Privileged": spec.privileged, "DetachKeys": spec.detach_keys,
        }  # fmt: skip
        return str(json.loads(self._transport.json("POST", path_of("containers", ref, "exec"), body))["Id"])

    def exec_start(self, exec_id: str, *, tty: bool = False) -> Hijacked:
        """ActionError (`command-not-found`, `command-not-executable`) where the command cannot be started."""
        body = json.dumps({"Detach": False, "Tty": tty}).encode()
        return self._hijack(path_of("exec", exec_id, "start", errors=True), body, tty)

    def exec(self, ref: str, spec: ExecSpec) -> Hijacked:
        """`exec_create` and `exec_start` in one request; the stream knows the exec's id, and its end at last.

        ConflictError (`not-running`); other errors as of `exec_start`.
        """
        return self._hijack(path_of(*OURS, "containers", ref, "exec"), wire.encode(spec), spec.tty, framed=True)

    def exec_detached(self, exec_id: str) -> None:
        """Start without a connection to the process."""
        self._transport.json("POST", path_of("exec", exec_id, "start"), {"Detach": True})

    def exec_get(self, exec_id: str) -> ExecRecord:
        return wire.decode(self._get("exec", exec_id), ExecRecord)

    def exec_resize(self, exec_id: str, rows: int, columns: int) -> None:
        self._transport.json("POST", path_of("exec", exec_id, "resize", h=rows, w=columns))

    # ---- how

    def _get(self, *parts: str, **options: Any) -> bytes:
        return self._transport.json("GET", path_of(*OURS, *parts), **options)

    def _post(self, value: object, *parts: str, **options: Any) -> bytes:
        return self._transport.json("POST", path_of(*OURS, *parts), value, **options)

    def _container(self, method: str, ref: str, verb: str, *, timeout: float | None = 60.0, **query: object) -> None:
        self._transport.json(method, path_of("containers", ref, verb, **query), timeout=timeout, what=f"{verb} {ref}")

    def _credentials(self, stack: Stack, pull: str) -> dict[str, RegistryAuth]:
        from stackfile.api.credentials import Credentials

        return Credentials(self.environ).of_stack(stack, pull, self.images)

    def _put_blob(self, digest: str, data: Iterator[bytes]) -> None:
        target = path_of(*OURS, "blobs", digest)
        with self._transport.request("PUT", target, body=data, timeout=None, what=f"upload of {digest}") as answer:
            answer.read()

    def _job(self, body: dict[str, object]) -> Iterator[JobEvent]:
        return self._stream("POST", path_of(*OURS, "jobs"), wire.encode(body))

    def _stream(self, method: str, target: str, body: bytes | None) -> Iterator[JobEvent]:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        with self._transport.request(method, target, body=body, headers=headers, timeout=None) as answer:
            for line in answer.lines():
                yield wire.decode(line, JobEvent)

    def _hijack(self, target: str, body: bytes | None, tty: bool, framed: bool | None = None) -> Hijacked:
        headers = dict(_UPGRADE)
        if body is not None:
            headers["Content-Type"] = "application/json"
        answer = self._transport.request("POST", target, body=body or b"", headers=headers, timeout=None)
        if answer.status != 101:
            with answer:
                raise ActionError(
                    "action-failed", "the daemon did not upgrade the connection", cause=str(answer.status)
                )
        identity = answer.header("Stackfile-Id")
        return Hijacked(*answer.take_socket(), tty=tty, framed=framed, identity=identity)


def result_of(events: Iterator[JobEvent]) -> JobEvent:
    """Follow a job to its end; the last event. Raises the error of a job that failed."""
    last: JobEvent | None = None
    for event in events:
        last = event
    if last is None or last.type != "end":
        raise ActionError("action-failed", "the job's stream ended before the job")
    if last.status != "done":
        raise _failure(last)
    return last


def _failure(end: JobEvent) -> StackfileError:
    if end.error:
        return wire.error_from_plain(end.error)
    return ActionError("cancelled" if end.status == "cancelled" else "action-failed", f"job {end.status}")


def _seconds(time_ns: int) -> str | None:
    return f"{time_ns // 10**9}.{time_ns % 10**9:09}" if time_ns else None


def _log_line(stream: int, text: bytes) -> LogLine:
    stamp, _, data = text.partition(b" ")
    return LogLine(stream=stream, time_ns=parse_time(stamp.decode()), data=data)


def parse_time(text: str) -> int:
    """Nanoseconds since the epoch of an RFC 3339 time in UTC with up to nine digits of a fraction."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
    return seconds * 10**9 + int((fraction + "000000000")[:9])
