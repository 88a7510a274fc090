"""A worker of the pool: reads pickled calls from stdin, answers on stdout, ends at end of file.

Its argument is the version of who starts it.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys

import stackfile
from stackfile.engines.embedded.pool import OTHER_VERSION, read, write
from stackfile.kernel.syscalls import PR_SET_PDEATHSIG, prctl


def main() -> None:
    """Serve until stdin ends. Standard output is the pipe: what the work prints goes to stderr.

    Ends at once with the thread that started it: what it would still publish nobody would know of.
    """
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if sys.argv[1:] != [stackfile.__version__]:
        sys.exit(OTHER_VERSION)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            message = read(sys.stdin.buffer)
        except EOFError:
            return
        answer = _answer(message)
        try:
            write(answers, answer)
        except BrokenPipeError:
            os._exit(0)  # who asked is gone; an ordinary end would try to write the rest


def _answer(message: bytes) -> bytes:
    try:
        function, arguments, named = pickle.loads(message)
        return pickle.dumps((True, function(*arguments, **named)))
    except Exception as error:
        # Taken apart by hand: exceptions with keyword arguments do not survive pickling.
        arguments = (error.errno, error.strerror, error.filename) if isinstance(error, OSError) else error.args
        return pickle.dumps((False, (type(error), arguments, error.__dict__)))


if __name__ == "__main__":
    main()
