"""From argv to exit code: where global options may stand, what fails how, and that no traceback is seen."""

from __future__ import annotations

import json
import os
import signal
from types import ModuleType

import pytest

from stackfile.cli import main, registry
from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.errors import ActionError, EngineError, ErrorList, Place, RefusedError, StackError

PLAIN = {"NO_COLOR": "1", "PATH": os.environ["PATH"]}


class Spy:
    """A verb that remembers how it was called, and fails as it is told."""

    def __init__(self) -> None:
        self.context: Context | None = None
        self.arguments: Arguments | None = None
        self.failure: BaseException | None = None
        self.runs_command = False

    def register(self) -> Verb:
        return Verb(
            name="ps",
            summary="spy",
            operands="[SERVICE…]",
            maximum=None,
            options=(option("-f --follow", "follow"), option("-p --publish", "port", "PORT", repeat=True)),
            run=self.run,
            runs_command=self.runs_command,
        )

    def run(self, context: Context, arguments: Arguments) -> int:
        self.context, self.arguments = context, arguments
        if self.failure is not None:
            raise self.failure
        return 0


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    found = Spy()
    module = ModuleType("spy")
    module.register = found.register  # type: ignore[attr-defined]
    monkeypatch.setattr(registry, "import_module", lambda name: module)
    return found


def test_globals_before_and_after_the_verb(spy: Spy) -> None:
    assert main(["-f", "a", "-p", "name", "--set", "x=1", "ps", "-f", "-p", "80", "--file", "b", "--set", "y=2"]) == 0
    assert spy.context is not None
    assert spy.arguments is not None
    assert spy.context.options.texts("file") == ("a", "b")
    assert spy.context.options.text("project-name") == "name"
    assert spy.context.options.texts("set") == ("x=1", "y=2")
    assert spy.arguments.flag("follow")
    assert spy.arguments.texts("publish") == ("80",)


def test_load_options_keep_the_order_of_sets(spy: Spy) -> None:
    pytest.importorskip("stackfile.language.options")
    main(["--set", "a=1", "ps", "--set-json", "a=2", "--set-string", "a=3", "-E", "prod", "web"])
    assert spy.context is not None
    options = spy.context.load_options(["web"], {"web": 3})
    assert options.sets == (("set", "a=1"), ("set-json", "a=2"), ("set-string", "a=3"))
    assert (options.environment, options.services, options.scale) == ("prod", ("web",), {"web": 3})


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (ActionError("port-taken", "x"), 1),
        (StackError("bad-type", "x"), 3),
        (EngineError("engine-unreachable", "x"), 4),
        (RefusedError("needs-yes", "x"), 5),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 141),
        (ZeroDivisionError("oh"), 1),
    ],
)
def test_exit_codes(spy: Spy, failure: BaseException, code: int, capfd: pytest.CaptureFixture[str]) -> None:
    spy.failure = failure
    assert main(["ps"], PLAIN) == code
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (ActionError("command-not-found", "x"), 127),
        (ActionError("command-not-executable", "x"), 126),
        (ActionError("image-not-found", "x"), 125),
        (EngineError("engine-unreachable", "x"), 125),
    ],
)
def test_exit_codes_of_verbs_that_run_a_command(spy: Spy, failure: Exception, code: int) -> None:
    spy.runs_command = True
    spy.failure = failure
    assert main(["ps"], PLAIN) == code
    spy.failure = None
    assert main(["ps", "--nonsense"], PLAIN) == 125


def test_termination(spy: Spy) -> None:
    def run(context: Context, arguments: Arguments) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return 0

    spy.run = run  # type: ignore[method-assign]
    before = signal.getsignal(signal.SIGTERM)
    assert main(["ps"], PLAIN) == 143
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("argv", "reason"),
    [(["hepl"], "unknown-verb"), (["container", "dance"], "unknown-verb"), (["container"], "unknown-verb"),
     (["--nonsense"], "usage"), (["version", "x"], "usage")],
)  # fmt: skip
def test_wrong_command_lines(argv: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", *argv], PLAIN) == 2
    (error,) = json.loads(capsys.readouterr().out)["errors"]
    assert (error["reason"], error["exit"]) == (reason, 2)


def test_several_errors_as_text_and_as_json(spy: Spy, capsys: pytest.CaptureFixture[str]) -> None:
    spy.failure = ErrorList(
        [StackError("bad-type", "second", at=Place("s", 9, 2)), StackError("bad-port", "first", at=Place("s", 4))]
    )
    assert main(["ps"], PLAIN) == 3
    assert capsys.readouterr().err.splitlines() == ["error: first", "  --> s:4", "error: second", "  --> s:9:2"]
    assert main(["ps", "--json"], PLAIN) == 3
    errors = json.loads(capsys.readouterr().out)["errors"]
    assert [(error["reason"], error["at"]) for error in errors] == [
        ("bad-port", {"file": "s", "line": 4, "column": 0}),
        ("bad-type", {"file": "s", "line": 9, "column": 2}),
    ]


def test_debug_shows_where(spy: Spy, capsys: pytest.CaptureFixture[str]) -> None:
    spy.failure = ZeroDivisionError("oh")
    assert main(["ps", "--debug"], PLAIN) == 1
    assert "ZeroDivisionError: oh" in capsys.readouterr().err


def test_the_command_as_typed(spy: Spy) -> None:
    main(["ps", "web"], {"STACKFILE_COMMAND": ".venv/bin/stackfile"})
    assert spy.context is not None
    assert spy.context.command == (".venv/bin/stackfile", "ps", "web")
    assert "STACKFILE_COMMAND" not in spy.context.environ


@pytest.mark.parametrize("argv", [["--help"], ["-h"], [], ["help"]])
def test_help(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    assert capsys.readouterr().out.startswith("Usage: stackfile [OPTIONS] VERB")


@pytest.mark.parametrize("name", registry.names())
def test_help_of_each_verb(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: stackfile {name}")
    assert main(["help", *name.split()]) == 0
    assert capsys.readouterr().out == text


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    main(["help"])
    page = capsys.readouterr().out.replace(",", " ").replace("(", " ").replace(")", " ").split()
    assert {word for name in registry.names() for word in name.split()} - {"help"} <= set(page)


@pytest.mark.parametrize("topic", ["exit-codes", "environment"])
def test_topics(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", topic]) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("argv", [["version"], ["--version"], ["-V"]])
def test_version(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    assert capsys.readouterr().out.startswith("stackfile ")
