"""The error tree and the table of reasons.

    StackfileError
    ├── UsageError      wrong command line                                      exit 2
    ├── StackError      invalid stack file or inputs; nothing was started       exit 3
    ├── EngineError     engine unreachable, not permitted, incompatible         exit 4
    ├── RefusedError    refused: stale plan, environment switch, needs -y       exit 5
    ├── ActionError     an action failed, or this machine forbids it now        exit 1
    │   ├── NotFoundError, ConflictError, KernelError
    └── ErrorList       several of them, reported together

`reason` is the machine-readable part: tests and programs compare it, never the prose. A domain failure is one of
these; a broken invariant of ours is an `assert`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file the user wrote. Lines and columns count from 1; 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part)


@dataclass(frozen=True, slots=True)
class Reason:
    """A row of the table: stable code, stable name, exit code."""

    code: str
    name: str
    exit: int


REASONS: dict[str, Reason] = {}


def _rows(exit_code: int, first: int, *names: str) -> None:
    for number, name in enumerate(names, first):
        REASONS[name] = Reason(f"SF{number}", name, exit_code)


# Append only: a code never changes its meaning.
_rows(2, 2001, "usage", "bad-setting", "unknown-verb", "no-such-service")
_rows(
    3, 3001,
    "file-not-found", "file-unreadable", "yaml-syntax", "duplicate-key", "not-a-mapping", "unknown-key", "bad-type",
    "bad-value", "missing-key", "unquoted-template", "template-syntax", "template-undefined", "template-failed",
    "template-in-interpolation", "template-not-scalar", "template-limit", "interpolation-syntax", "variable-required",
    "unknown-value", "values-invalid", "values-cycle", "unknown-environment", "environment-cycle", "name-collision",
    "unknown-reference", "dependency-cycle", "bad-name", "bad-port", "bad-duration", "bad-size", "port-collision",
    "wrong-dialect", "too-large", "too-deep", "alias-bomb", "include-outside", "context-unreadable", "no-stack-file",
    "image-cycle", "unsupported-key", "replicas-conflict", "merge-conflict", "dockerfile-syntax",
    "unknown-instruction", "unknown-stage", "extends-cycle", "include-cycle", "secret-command",
)  # fmt: skip
_rows(4, 4001, "engine-unreachable", "not-permitted", "engine-incompatible", "engine-start-failed", "engine-locked",
      "unsupported-kernel")  # fmt: skip
_rows(5, 5001, "environment-switch", "directory-differs", "stale-plan", "needs-yes", "lock-differs")
_rows(
    1, 1001,
    "action-failed", "not-found", "ambiguous", "conflict", "in-use", "not-running", "already-running", "kernel",
    "port-taken", "image-not-found", "digest-mismatch", "build-failed", "unhealthy", "exited-early", "timeout",
    "disk-full", "name-taken", "address-exhausted", "not-modified", "cancelled", "bad-request", "internal",
    "host-program-missing", "volume-in-use", "network-in-use", "dependency-failed", "command-not-found",
    "command-not-executable", "database-newer", "unsafe-path", "bad-archive", "partial",
    "pull-failed", "registry-denied", "registry-unreachable", "platform-missing",
    "read-only", "io-error", "limit-reached", "database-damaged",
)  # fmt: skip
_rows(
    6, 6001,
    "differences", "database-damaged", "record-damaged", "record-missing", "image-missing", "tag-dangling",
    "blob-damaged", "blob-missing", "blob-unreferenced", "layer-damaged", "layer-missing", "layer-unreferenced",
    "temporary-left", "container-directory-missing", "container-directory-unknown", "volume-directory-missing",
    "volume-unknown", "content-missing", "content-damaged", "content-unknown", "process-missing", "process-unknown",
    "drift", "network-unknown", "link-unknown", "element-unknown", "port-unknown", "mount-unknown", "held-unknown",
    "cgroup-unknown", "run-directory-unknown", "intent-left", "lease-unknown", "lease-missing", "running-unknown",
    "reservation-unknown", "rights-wrong",
)  # fmt: skip


class StackfileError(Exception):
    """Root of the tree.

    `reason` must be a row of REASONS. `message` names the thing; `at` the place; `cause` why; `hint` the way out;
    `stack` is the chain of places that led there (includes, macros, values), innermost first.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        at: Place | None = None,
        cause: str = "",
        hint: str = "",
        stack: Iterable[Place] = (),
        details: dict[str, Any] | None = None,
    ) -> None:
        assert reason in REASONS, reason
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.at = at
        self.cause = cause
        self.hint = hint
        self.stack = tuple(stack)
        self.details = details or {}

    @property
    def code(self) -> str:
        return REASONS[self.reason].code

    @property
    def exit_code(self) -> int:
        return REASONS[self.reason].exit

    def __str__(self) -> str:
        place = f"{self.at}: " if self.at else ""
        cause = f": {self.cause}" if self.cause else ""
        return f"{place}{self.message}{cause}"


class UsageError(StackfileError):
    """The command line or a setting is wrong."""


class StackError(StackfileError):
    """The stack file or one of its inputs is invalid; nothing was started."""


class EngineError(StackfileError):
    """The engine cannot be reached, does not permit it, or is incompatible."""


class RefusedError(StackfileError):
    """Refused on purpose: the caller must confirm or look again."""


class ActionError(StackfileError):
    """Something that was tried failed, or this machine forbids it now."""


class NotFoundError(ActionError):
    """No such container, image, network, volume, project."""

    def __init__(self, kind: str, name: str, **rest: Any) -> None:
        super().__init__(rest.pop("reason", "not-found"), f"no such {kind}: {name}", **rest)


class ConflictError(ActionError):
    """The object's present state forbids it."""


class KernelError(ActionError):
    """A system call failed. Names the syscall and what it was applied to."""

    def __init__(self, errno: int, syscall: str, subject: str = "", **rest: Any) -> None:
        from os import strerror

        self.errno = errno
        where = f" {subject}" if subject else ""
        super().__init__(rest.pop("reason", "kernel"), f"{syscall}{where}", cause=strerror(errno), **rest)

    @property
    def full(self) -> bool:
        """A disk or a quota has no room."""
        from errno import EDQUOT, ENOSPC

        return self.errno in (ENOSPC, EDQUOT)


@dataclass
class ErrorCollector:
    """Gathers errors so that a file's mistakes are reported all at once."""

    errors: list[StackfileError] = field(default_factory=list)

    def add(self, error: StackfileError) -> None:
        self.errors.append(error)

    def check(self) -> None:
        """Raise what was gathered: the error itself when it is alone, else an ErrorList, in file order."""
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            raise ErrorList(self.errors)


class ErrorList(StackfileError):
    """Several errors, in the order of their places."""

    def __init__(self, errors: Iterable[StackfileError]) -> None:
        self.errors = tuple(sorted(errors, key=lambda e: (e.at.file, e.at.line, e.at.column) if e.at else ("", 0, 0)))
        first = self.errors[0]
        super().__init__(first.reason, f"{len(self.errors)} errors", at=first.at)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)
