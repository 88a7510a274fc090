"""HTTP on the engine's socket: dispatch, errors, bounds."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Coroutine
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

import stackfile
from stackfile import log
from stackfile.daemon import faults, responses, routes
from stackfile.daemon.routing import Call, Route, Router
from stackfile.daemon.services import Services
from stackfile.errors import ActionError, EngineError, StackfileError
from stackfile.refusals import understood

BODY_LIMIT = 64 * 1024 * 1024
"""Bytes of a request's body that is read into memory (stacks, manifests); content of files is streamed to disk."""
_BACKLOG = 1024
_AT_ONCE = 16
"""Connections that are accepted a turn of the loop."""
VERSION_HEADER = "Stackfile-Version"
_logger = log.get(__name__)


class HttpServer:
    """Serves the routes on a listening socket until `close`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._router = Router(routes.find())
        self._unfinished: set[asyncio.Task[web.StreamResponse]] = set()
        self._runner: web.ServerRunner | None = None

    async def start(self, listener: socket.socket) -> None:
        """Accept connections on `listener`."""
        server = web.Server(
            self._handle,
            request_factory=_request,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=3600,
            lingering_time=1,
        )
        # Answers take milliseconds; what is longer is a stream, whose client reconnects.
        self._runner = web.ServerRunner(server, shutdown_timeout=0.5)
        await self._runner.setup()
        asyncio.get_running_loop().set_exception_handler(_unaccepted)
        # asyncio takes the backlog for the number of accepts a turn too, all of which it tries, and reports, when no
        # descriptor is free: a thousand tracebacks would hold up everybody. The kernel's queue is set again after it.
        await web.SockSite(self._runner, listener, backlog=_AT_ONCE).start()
        listener.listen(_BACKLOG)

    async def close(self) -> None:
        """Stop accepting, end streams, and let what was begun finish (at most 10 s)."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._unfinished:
            await asyncio.wait(self._unfinished, timeout=10)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            found = self._router.find(request.method, request.rel_url.raw_path)
            if found is None:
                return self._unknown(request)
            if request.headers.get("Expect", "").lower() == "100-continue":
                await _go_on(request)
            _check_version(request)
            route, path = found
            call = Call(request, self._services, path, route.docker)
            return await self._run(route, call)
        except asyncio.CancelledError:
            raise
        except ConnectionError as error:
            # The client has gone; nobody is there to be told.
            raise asyncio.CancelledError from error
        except web.HTTPRequestEntityTooLarge:
            return faults.response_of(ActionError("bad-request", f"the body is larger than {BODY_LIMIT} bytes"))
        except StackfileError as error:
            if error.reason in ("internal", "kernel"):
                _logger.error("%s %s: %s", request.method, request.rel_url, error, exc_info=error)
            return self._fault(request, error)
        except Exception as error:
            known = understood(error)
            trace = error if known.reason == "internal" else None
            _logger.error("%s %s: %s", request.method, request.rel_url, known, exc_info=trace)
            return self._fault(request, error)

    def _fault(self, request: web.BaseRequest, error: Exception) -> web.Response:
        if request.writer.output_size > 0:
            # The head of a stream has been sent: all that is left is to end it short. Cancelled, and not any other
            # error, since of those aiohttp writes a traceback into the log.
            _logger.info("%s %s ended short: %s", request.method, request.rel_url, error)
            raise asyncio.CancelledError from error
        return faults.response_of(error)

    async def _run(self, route: Route, call: Call) -> web.StreamResponse:
        if route.stream:
            return await route.handler(call)
        task = asyncio.ensure_future(_coroutine(route, call))
        self._unfinished.add(task)
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    def _finished(self, task: asyncio.Task[web.StreamResponse]) -> None:
        self._unfinished.discard(task)
        if not task.cancelled():
            # Read, so that an error whose client has gone is not reported as never retrieved.
            task.exception()

    def _unknown(self, request: web.BaseRequest) -> web.Response:
        path = request.rel_url.raw_path
        if methods := self._router.methods(path):
            error = ActionError("bad-request", f"{path} has no {request.method}, only {', '.join(methods)}")
            return responses.json({"message": error.message}, 405)
        return responses.json({"message": "page not found"}, 404)


def _unaccepted(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A word where a connection has to wait for a free descriptor (asyncio tries again after a second)."""
    error = context.get("exception")
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        _logger.warning("a connection waits: %s", error)
    else:
        loop.default_exception_handler(context)


def _coroutine(route: Route, call: Call) -> Coroutine[Any, Any, web.StreamResponse]:
    async def run() -> web.StreamResponse:
        return await route.handler(call)

    return run()


def _check_version(request: web.BaseRequest) -> None:
    """A client of ours says its version with its first request. Raises EngineError (`engine-incompatible`)."""
    said = request.headers.get(VERSION_HEADER)
    if said is not None and said != stackfile.__version__:
        raise EngineError(
            "engine-incompatible",
            f"the daemon is version {stackfile.__version__}, the client {said}",
            hint="`stackfile daemon stop` ends the daemon; the next command starts its own version's",
        )


async def _go_on(request: web.BaseRequest) -> None:
    """RFC 9110, 10.1.1: the client sends its body only now."""
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # Nothing of the answer itself has been sent.
    request.writer.output_size = 0


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=BODY_LIMIT)


def listen(path: str, group: int = -1) -> socket.socket:
    """A listening Unix socket at `path`, mode 0660, which takes the place of an old one at once. `group` (a gid) may
    use it, and pass its directory; -1 for root alone.
    """
    temporary = f"{path}.{os.getpid()}"
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.bind(temporary)
        os.chmod(temporary, 0o660)
        if group >= 0:
            os.chown(temporary, -1, group)
            os.chown(os.path.dirname(path), -1, group)
            os.chmod(os.path.dirname(path), 0o710)
        sock.listen(_BACKLOG)
        os.rename(temporary, path)
    except BaseException:
        sock.close()
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    return sock
