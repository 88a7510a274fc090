"""Images from Dockerfiles: stages, cache, reasons, what a command gets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stackfile.errors import ActionError, NotFoundError, StackError
from stackfile.model.stack import Build, ImageResource, Step
from stackfile.provider.engine import BuildStep
from tests.unit.build.kit import Workbench, image

pytestmark = pytest.mark.root

FILES: dict[str, str | None] = {".": None, "a": "1", "b": "2", "d": None, "d/c": "3", "l": "→a"}
BASE = image("base", Step(kind="env", mapping={"PATH": "/bin", "WHO": "base"}),
             Step(kind="workdir", text="/start"))  # fmt: skip


def docker(
    bench: Workbench, text: str, name: str = "app", files: Mapping[str, str | None] = FILES, **more: Any
) -> ImageResource:
    """A stack image from a Dockerfile, with a context of `files`."""
    build = Build(text=text, manifest=bench.context(files), **{"images": ("base",), **more})
    return ImageResource(name=name, tags=(f"docker.io/test/{name}:latest",), build=build)


def written(path: Path) -> int:
    (path / "made").write_text("by a command")
    return 0


def test_stages_and_cache(bench: Workbench) -> None:
    bench.build(BASE)
    bench.runner.effect = written
    text = (
        "FROM base AS one\nCOPY a /x\nRUN make\nFROM base AS unused\nRUN never\n"
        "FROM base\nCOPY --from=one /made /x /\nCOPY l d/ /there/\nENV B=${WHO}2\n"
    )
    app = docker(bench, text)
    assert bench.reasons(BASE, app) == ["first build"] * 5
    built = bench.build(BASE, app)
    assert bench.read(built.image, "/made") == b"by a command"
    assert [bench.read(built.image, f"/{name}") for name in ("x", "there/l", "there/c")] == [b"1", b"1", b"3"]
    assert [call[0] for call in bench.runner.calls] == [("/bin/sh", "-c", "make")]
    config = bench.images.get(built.image).config
    assert config.environment == ("PATH=/bin", "WHO=base", "B=base2")
    assert config.working_dir == "/start"
    assert bench.evaluate(BASE, app)["app"].image == built.image
    assert built.summary == "5 steps of Dockerfile"
    bench.builder.recover()
    assert "first build" not in bench.reasons(BASE, app)


def test_only_what_changed_is_made_again(bench: Workbench) -> None:
    bench.build(BASE)
    bench.runner.effect = written
    text = "FROM base AS one\nCOPY a /x\nRUN make\nFROM base\nCOPY --from=one /made /\nCOPY b /\n"
    bench.build(BASE, docker(bench, text))
    other = docker(bench, text, files={**FILES, "b": "changed", "not-copied": "x"})
    assert bench.reasons(BASE, other) == ["", "", "", "b changed"]
    bench.build(BASE, other)
    assert len(bench.runner.calls) == 1
    changed = docker(bench, text, files={**FILES, "a": "changed"})
    assert bench.reasons(BASE, changed)[:3] == ["a changed", "the step before it changed", "stage one changed"]
    new = docker(bench, text.replace("RUN make", "RUN make all"))
    assert bench.reasons(BASE, new)[1] == "command changed"


def test_what_commands_get(bench: Workbench) -> None:
    bench.build(BASE)
    text = (
        "ARG OUT=outer\nFROM base\nARG OUT\nARG GIVEN=default\nARG TARGETARCH\nARG NONE\nUSER 7\nWORKDIR sub\n"
        "RUN one $GIVEN\nSHELL [\"/bin/b\", \"-c\"]\nRUN two\nRUN [\"three\"]\n"
    )  # fmt: skip
    args = {"GIVEN": "given", "UNKNOWN": "x", "http_proxy": "p"}
    bench.build(BASE, docker(bench, text, args=args))
    argv, environment, user, directory = bench.runner.calls[0]
    assert argv == ("/bin/sh", "-c", "one $GIVEN")
    assert (user, directory) == ("7", "/start/sub")
    assert environment.pop("TARGETARCH")
    assert environment == {"OUT": "outer", "GIVEN": "given", "PATH": "/bin", "WHO": "base", "http_proxy": "p"}
    assert [call[0] for call in bench.runner.calls[1:]] == [("/bin/b", "-c", "two"), ("three",)]
    proxy = docker(bench, text, args={**args, "http_proxy": "another"})
    assert bench.evaluate(BASE, proxy)["app"].fresh
    assert "GIVEN" in bench.reasons(BASE, docker(bench, text, args={**args, "GIVEN": "else"}))[1]


def test_entrypoint_clears_the_command_of_the_base_only(bench: Workbench) -> None:
    bench.build(BASE)
    first = docker(bench, 'FROM base\nCMD ["c"]\nENTRYPOINT ["e"]\n', "first")
    assert bench.images.get(bench.build(BASE, first).image).config.command == ("c",)
    second = docker(bench, 'FROM test/first\nENTRYPOINT ["f"]\n', "second")
    config = bench.images.get(bench.build(BASE, second).image).config
    assert (config.entrypoint, config.command) == (("f",), None)


def test_triggers(bench: Workbench) -> None:
    bench.build(BASE)
    parent = docker(bench, "FROM base\nONBUILD COPY a /given\nONBUILD ENV T=1\n", "parent")
    assert bench.images.get(bench.build(BASE, parent).image).config.on_build == ("COPY a /given", "ENV T=1")
    child = bench.build(BASE, docker(bench, "FROM test/parent\n", "child"))
    assert bench.read(child.image, "/given") == b"1"
    config = bench.images.get(child.image).config
    assert (config.on_build, "T=1" in config.environment) == ((), True)


def test_named_contexts(bench: Workbench) -> None:
    bench.build(BASE)
    extra = bench.context({".": None, "e": "extra"})
    app = docker(bench, "FROM other\nCOPY --from=dir e /e\n", contexts={"other": "image:base", "dir": "/x"},
                 manifests={"dir": extra})  # fmt: skip
    assert bench.read(bench.build(BASE, app).image, "/e") == b"extra"


def test_heredocs_and_owners(bench: Workbench) -> None:
    bench.build(BASE)
    app = docker(bench, "FROM base\nCOPY --chmod=0600 <<A <<B /t/\nof $WHO\nA\nb\nB\n")
    built = bench.build(BASE, app)
    assert (bench.read(built.image, "/t/A"), bench.read(built.image, "/t/B")) == (b"of base\n", b"b\n")
    assert "text A changed" in bench.reasons(
        BASE, docker(bench, "FROM base\nCOPY --chmod=0600 <<A <<B /t/\nx\nA\nb\nB\n")
    )


def test_errors_have_places(bench: Workbench) -> None:
    bench.build(BASE)
    bench.runner.effect = lambda upper: 3
    cases: list[tuple[str, type[Exception], str, int]] = [
        ("FROM base\n\nRUN fail\n", ActionError, "build-failed", 3),
        ("FROM base\nCOPY $WHO /\n", StackError, "context-unreadable", 2),
        ("FROM base\nENV A=${X:?no}\n", StackError, "variable-required", 2),
        ("FROM test/nothing\n", NotFoundError, "image-not-found", 1),
        ("FROM --platform=linux/s390x base\nRUN x\n", StackError, "unsupported-key", 1),
        ("FROM base:?\n", StackError, "bad-value", 1),
    ]
    for text, kind, reason, line in cases:
        with pytest.raises(kind) as caught:
            bench.build(BASE, docker(bench, text))
        assert isinstance(caught.value, ActionError | StackError)
        assert caught.value.at is not None, text
        assert (caught.value.reason, caught.value.at.line) == (reason, line)


def test_the_instructions_are_reported(bench: Workbench) -> None:
    bench.build(BASE)
    app = docker(bench, "FROM base AS x\nRUN a\nFROM x\nENV B=1\n")
    told: list[BuildStep] = []
    lines: list[str] = []
    named = {"base": BASE, "app": app}
    asyncio.run(bench.builder.build(named, "app", progress=lines.append, report=told.append))
    begun = [(step.number, step.text) for step in told if not step.image]
    assert begun == [(1, "FROM base AS x"), (2, "RUN a"), (3, "FROM x"), (4, "ENV B=1")]
    assert {step.total for step in told} == {4}
    assert lines == ["first line", "last line"]
    told.clear()
    asyncio.run(bench.builder.build(named, "app", report=told.append))
    assert [step.cached for step in told if step.image and step.number in (2, 4)] == [True, True]


def test_what_only_mounts_need_is_cleared(bench: Workbench) -> None:
    bench.build(BASE)

    def mounted(upper: Path) -> int:
        (upper / "start/c/deep").mkdir(parents=True)
        (upper / "kept").mkdir()
        (upper / "kept/file").write_text("x")
        (upper / "run/secrets").mkdir(parents=True)
        (upper / "run/secrets/k").touch()
        (upper / "link").symlink_to(upper.parent)
        return 0

    bench.runner.effect = mounted
    mounts = ("cache,target=/start/c/deep", "cache,target=/kept", "secret,id=k", "cache,target=/link/work")
    text = "FROM base\nRUN " + " ".join(f"--mount=type={mount}" for mount in mounts) + " true\n"
    built = bench.build(BASE, docker(bench, text, secret_texts={"k": "v"}))
    top = Path(bench.images.lower(built.image)[0])
    assert sorted(str(path.relative_to(top)) for path in top.rglob("*")) == ["kept", "kept/file", "link", "start"]


def test_mounts_are_given_to_the_command(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.build(BASE)
    seen: dict[str, tuple[str, bool, object]] = {}
    run = bench.runner.run

    async def watching(root: Any, mounts: Any, *args: Any, **options: Any) -> int:
        for mount in mounts:
            source = Path(mount.source)
            content: object = sorted(item.name for item in source.iterdir()) if source.is_dir() else source.read_text()
            seen[mount.target] = (mount.type, mount.read_only, content if mount.source else None)
        return await run(root, mounts, *args, **options)

    monkeypatch.setattr(bench.runner, "run", watching)
    text = (
        "FROM base AS data\nCOPY d /d\nFROM base\n"
        "RUN --mount=target=/src --mount=type=bind,from=data,source=/d,target=/d,rw"
        " --mount=type=bind,source=a,target=/a --mount=type=cache,target=/c"
        " --mount=type=secret,id=k --mount=type=secret,id=none true\n"
    )
    app = docker(bench, text, secret_texts={"k": "hush"})
    bench.build(BASE, app)
    assert seen == {
        "/src": ("bind", True, ["a", "b", "d", "l"]),
        "/d": ("bind", False, ["c"]),
        "/a": ("bind", True, "1"),
        "/c": ("bind", False, []),
        "/run/secrets/k": ("bind", True, "hush"),
    }
    assert bench.evaluate(BASE, docker(bench, text, secret_texts={"k": "other"}))["app"].fresh
    assert not bench.evaluate(BASE, docker(bench, text, files={**FILES, "b": "changed"}))["app"].fresh
    with pytest.raises(ActionError):
        bench.build(BASE, docker(bench, "FROM base\nRUN --mount=type=secret,id=x,required true\n"))
