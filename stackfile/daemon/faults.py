"""Errors as HTTP: a status by reason, Docker's `message`, and our `error` object beside it."""

from __future__ import annotations

from aiohttp import web

from stackfile import wire
from stackfile.daemon import responses
from stackfile.daemon.dockerjson.image import familiar
from stackfile.errors import ErrorList, RefusedError, StackError, StackfileError, UsageError
from stackfile.refusals import understood

_STATUS = {
    "not-found": 404,
    "image-not-found": 404,
    "conflict": 409,
    "in-use": 409,
    "name-taken": 409,
    "volume-in-use": 409,
    "network-in-use": 409,
    "not-running": 409,
    "already-running": 409,
    "not-modified": 304,
    "ambiguous": 400,
    "bad-request": 400,
    "bad-name": 400,
    "digest-mismatch": 400,
    "command-not-found": 400,
    "command-not-executable": 400,
    "bad-setting": 400,
    "engine-incompatible": 400,
    "unsafe-path": 400,
    "bad-archive": 400,
    "needs-yes": 409,
    "too-large": 413,
    "not-permitted": 403,
    "engine-unreachable": 503,
    "engine-locked": 503,
}
_MISSING = {
    "container": "No such container: {}",
    "image": "No such image: {}",
    "exec": "No such exec instance: {}",
    "network": "network {} not found",
    "volume": "get {}: no such volume",
}
"""What Docker says of things that do not exist; its clients compare some of these texts."""


def status_of(error: StackfileError) -> int:
    """The HTTP status of an error."""
    known = _STATUS.get(error.reason)
    if known is not None:
        return known
    if isinstance(error, StackError | UsageError | ErrorList):
        return 400
    return 409 if isinstance(error, RefusedError) else 500


def docker_message(error: BaseException) -> str:
    """One line as Docker words it."""
    error = understood(error)
    if error.reason == "internal":
        return "internal error; see the daemon's log"
    for kind, form in _MISSING.items():
        prefix = f"no such {kind}: "
        if error.message.startswith(prefix):
            name = error.message.removeprefix(prefix)
            return form.format(familiar(name) if kind == "image" else name)
    return f"{error.message}: {error.cause}" if error.cause else error.message


def response_of(error: BaseException) -> web.Response:
    """The answer to a request that raised `error`. Never a traceback."""
    error = understood(error)
    status = status_of(error)
    if status == 304:
        return responses.empty(304)
    return responses.json({"message": docker_message(error), "error": wire.error_to_plain(error)}, status)
