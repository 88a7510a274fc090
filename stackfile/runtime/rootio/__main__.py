"""The process: one request, one answer."""

from __future__ import annotations

import os
import sys

from stackfile import wire
from stackfile.errors import ActionError, StackfileError
from stackfile.refusals import refusal
from stackfile.runtime.rootio.protocol import Reply, Request
from stackfile.runtime.rootio.reading import write_tar
from stackfile.runtime.rootio.root import open_root, stat_of
from stackfile.runtime.rootio.writing import read_tar


def main(argv: list[str]) -> int:
    """0 when it was done; the reply says what was wrong otherwise."""
    os.umask(0)
    request = wire.decode(argv[1].encode(), Request)
    try:
        root = open_root(request)
        if request.verb == "put":
            read_tar(root, request, sys.stdin.buffer)
            _reply(Reply())
        else:
            _reply(Reply(stat=stat_of(root, request.path)))
        if request.verb == "get":
            write_tar(root, request.path, sys.stdout.buffer)
            sys.stdout.buffer.flush()
    except BrokenPipeError:
        return 1
    except StackfileError as error:
        return _failed(error)
    except OSError as error:
        known = refusal(error, request.path if request.verb == "put" else "")
        return _failed(known or ActionError("action-failed", f"{request.verb} {request.path} failed", cause=str(error)))
    return 0


def _failed(error: StackfileError) -> int:
    _reply(Reply(error=wire.error_to_plain(error)))
    return 1


def _reply(reply: Reply) -> None:
    sys.stdout.buffer.write(wire.encode(reply) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
