"""From argv to an exit code: global options, verb, errors, signals. No traceback reaches a user, but for --debug."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import IO

from stackfile.cli import registry
from stackfile.cli.arguments import Arguments, Parser, Verb, check_operands
from stackfile.cli.context import Context, exit_of
from stackfile.cli.options import GLOBAL, merge_global
from stackfile.cli.output.console import Console
from stackfile.cli.reader import BROKEN_PIPE
from stackfile.errors import ActionError, StackfileError

INTERRUPTED = 130
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a write to a full disk, to a file that is too large or to a terminal that hung up fails with."""


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived: what was changed of the terminal is put back on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


def main(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """Run a command line; returns its exit code."""
    environ = dict(os.environ if environ is None else environ)
    typed = environ.pop("STACKFILE_COMMAND", "") or (sys.argv[0] if sys.argv else "stackfile")
    os.environ.pop("STACKFILE_COMMAND", None)
    # What is ignored stays so (nohup).
    caught = [number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    previous = [(number, signal.signal(number, _terminate)) for number in caught]
    try:
        return _Invocation(argv, environ, typed).run()
    except KeyboardInterrupt:
        return INTERRUPTED
    except Terminated as ended:
        return ended.exit_code
    finally:
        for number, handler in previous:
            signal.signal(number, handler)


class _Invocation:
    """One command line on its way to a verb. What was parsed so far decides how an error is shown."""

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], typed: str) -> None:
        self.argv = list(argv)
        self.environ = environ
        self.typed = typed
        self.options = Arguments()
        self.runs_command = False

    def run(self) -> int:
        try:
            code = self._dispatch()
            sys.stdout.flush()
        except StackfileError as error:
            return self._fail(error)
        except BrokenPipeError:
            _forget_stdout()
            return BROKEN_PIPE
        except OSError as error:
            refused = error.errno in _REFUSALS and not error.filename
            return self._fail(_unwritten(error) if refused else _internal(error))
        except Exception as error:
            return self._fail(_internal(error))
        return code

    def _dispatch(self) -> int:
        before = Parser(GLOBAL)
        self.options = before.results[0]
        words = before.parse(self.argv, trailing=True)
        if self.options.flag("version"):
            words = ["version"]
        if not words or self.options.flag("help"):
            return self._help(words)
        name, rest = self._find(words)
        if not name:
            return self._help([words[0]])
        return self._verb(registry.load(name), rest)

    def _verb(self, verb: Verb, rest: list[str]) -> int:
        self.runs_command = verb.runs_command
        parser = Parser(verb.options, GLOBAL)
        arguments, after = parser.results
        before = self.options
        self.options = _merged(before, after)
        try:
            arguments.positional = parser.parse(rest, trailing=verb.trailing)
        finally:
            self.options = _merged(before, after)
        if self.options.flag("help"):
            return self._help(verb.name.split())
        if arguments.text("format") == "json":
            self.options.flags["json"] = True
        check_operands(verb, arguments.positional)
        context = Context(self._console(), self.options, self.environ, os.getcwd(), (self.typed, *self.argv))
        try:
            return verb.run(context, arguments)
        finally:
            context.close()

    def _find(self, words: list[str]) -> tuple[str, list[str]]:
        """The verb and the rest; no verb where a group is asked for help."""
        asks = len(words) > 1 and words[1] in ("-h", "--help")
        if asks and words[0] in registry.groups(registry.names()):
            return "", []
        return registry.find(words)

    def _help(self, words: list[str]) -> int:
        from stackfile.cli.help import text

        self._console().print(text(words))
        return 0

    def _console(self) -> Console:
        given = self.options
        ansi = "never" if given.flag("no-color") else given.text("ansi", "auto")
        return Console(
            _tolerant(sys.stdout),
            _tolerant(sys.stderr),
            self.environ,
            ansi=ansi,
            progress=given.text("progress", "auto"),
            json=given.flag("json"),
            quiet=given.flag("quiet"),
        )

    def _fail(self, error: StackfileError) -> int:
        from stackfile.cli.output import errors

        console = self._console()
        if self.options.flag("debug"):
            import traceback

            traceback.print_exception(error.__cause__ if error.reason == "internal" else error, file=console.err)
        try:
            if console.json:
                console.line(errors.to_plain(error))
            else:
                console.err.write(errors.render(error, console) + "\n")
                console.err.flush()
        except OSError:
            # Nobody hears of it.
            pass
        if error.reason == "io-error":
            _forget_stdout()
        return exit_of(error, self.runs_command)


def _merged(before: Arguments, after: Arguments) -> Arguments:
    result = Arguments()
    result.flags = {**before.flags, **after.flags}
    result.values = merge_global(before.values, after.values)
    result.order = before.order + after.order
    return result


def _internal(error: Exception) -> StackfileError:
    wrapped = ActionError(
        "internal",
        f"internal error: {type(error).__name__}",
        cause=str(error),
        hint="--debug shows where; please report it",
    )
    wrapped.__cause__ = error
    return wrapped


def _unwritten(error: OSError) -> StackfileError:
    wrapped = ActionError("io-error", "the output cannot be written", cause=str(error.strerror))
    wrapped.__cause__ = error
    return wrapped


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)


def _tolerant(stream: IO[str]) -> IO[str]:
    """A locale without ✔ gets a question mark instead of a failure."""
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="replace")
    return stream


def _forget_stdout() -> None:
    """Nobody reads any more: keep the interpreter's last flush from complaining."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
