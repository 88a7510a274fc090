from __future__ import annotations

import os

import pytest

from stackfile.language.normalise.image import STEPS
from stackfile.model.stack import Healthcheck, ImageResource, Step
from tests.unit.language.memory import errors_of, load_text


def image(step: str) -> ImageResource:
    return load_text(f"images:\n  o: {{from: scratch}}\n  i:\n    from: scratch\n    steps:\n      - {step}\n").images[
        "i"
    ]


SH = ("/bin/sh", "-ec")


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("host: {programs: [sh, python3], paths: [/etc/x]}",
         Step(kind="host", programs=("sh", "python3"), paths=("/etc/x",))),
        ("host: {programs: sh}", Step(kind="host", programs=("sh",))),
        ("copy: {source: ./app, target: /app}", Step(kind="copy", source=("./app",), target="/app")),
        ("copy: {source: [a, b], target: /, chown: '1:1', chmod: 0755, from: o}",
         Step(kind="copy", source=("a", "b"), target="/", chown="1:1", chmod="0755", from_image="o")),
        ("add: {source: a.tar, target: /}", Step(kind="add", source=("a.tar",), target="/")),
        ("run: make all", Step(kind="run", argv=(*SH, "make all"))), ("run: [a, b]", Step(kind="run", argv=("a", "b"))),
        ("run: |\n          a\n          b\n", Step(kind="run", argv=(*SH, "a\nb\n"))),
        ("env: {A: 1, B: ''}", Step(kind="env", mapping={"A": "1", "B": ""})),
        ("env: [A=1]", Step(kind="env", mapping={"A": "1"})), ("arg: {V: 1}", Step(kind="arg", mapping={"V": "1"})),
        ("label: {a: b}", Step(kind="label", mapping={"a": "b"})), ("workdir: /app", Step(kind="workdir", text="/app")),
        ("user: '1000:1000'", Step(kind="user", text="1000:1000")), ("user: 1000", Step(kind="user", text="1000")),
        ("expose: [80, 53/udp]", Step(kind="expose", argv=("80/tcp", "53/udp"))),
        ("expose: 80", Step(kind="expose", argv=("80/tcp",))),
        ("volume: [/data]", Step(kind="volume", argv=("/data",))),
        ("volume: /data", Step(kind="volume", argv=("/data",))),
        ("entrypoint: [a, b]", Step(kind="entrypoint", argv=("a", "b"))),
        ("entrypoint: a b", Step(kind="entrypoint", argv=(*SH, "a b"))), ("cmd: [a]", Step(kind="cmd", argv=("a",))),
        ("shell: [/bin/bash, -c]", Step(kind="shell", argv=("/bin/bash", "-c"))),
        ("stopsignal: SIGINT", Step(kind="stopsignal", text="SIGINT")),
        ("healthcheck: {test: x}", Step(kind="healthcheck", healthcheck=Healthcheck(test=("CMD-SHELL", "x")))),
    ],
)  # fmt: skip
def test_steps(text: str, step: Step) -> None:
    assert image(text).steps == (step,)


def test_every_instruction_is_there() -> None:
    assert set(STEPS) == {
        "host", "copy", "add", "run", "env", "arg", "workdir", "user", "label", "expose", "volume", "entrypoint",
        "cmd", "healthcheck", "shell", "stopsignal",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("./base.tar", "base.tar"),
        ("../elsewhere/layout", "../elsewhere/layout"),
        ("/srv/base.tar", "/srv/base.tar"),
        ("oci-layout://layout", "layout"),
    ],
)
def test_archives_as_bases(written: str, path: str) -> None:
    stack = load_text(f"images:\n  i: {{from: '{written}'}}\n")
    image = stack.images["i"]
    assert image.base_path == os.path.normpath(os.path.join(stack.directory, path))
    assert (image.base, image.base_is_stack_image, image.base_context) == (written, False, "")


def test_bases_and_tags() -> None:
    stack = load_text("""\
        name: shop
        images:
          base: {from: scratch}
          app: {from: base, tags: [example/app, "example/app:2"]}
          ref: {from: "docker-image://example.com/x:1"}
        """)
    assert [(i.base, i.base_is_stack_image) for i in stack.images.values()] == [
        ("scratch", False),
        ("base", True),
        ("example.com/x:1", False),
    ]
    assert stack.images["app"].tags == ("shop/app:latest", "example/app:latest", "example/app:2")


@pytest.mark.parametrize(
    ("text", "reason", "line", "column"),
    [
        ("{}", "missing-key", 2, 6), ("{from: ''}", "bad-value", 2, 13),
        ("{from: 'a b'}", "bad-value", 2, 13),
        ("{form: x}", "missing-key", 2, 6),
        ("{from: scratch, steps: [{hots: {}}]}", "unknown-key", 2, 31),
        ("{from: scratch, steps: [{run: x, env: {A: 1}}]}", "bad-value", 2, 39),
        ("{from: scratch, steps: [{}]}", "bad-value", 2, 30), ("{from: scratch, steps: [x]}", "bad-type", 2, 30),
        ("{from: scratch, steps: {}}", "bad-type", 2, 29),
        ("{from: scratch, steps: [{copy: {source: a}}]}", "missing-key", 2, 37),
        ("{from: scratch, steps: [{copy: {source: a, target: /, from: no}}]}", "unknown-reference", 2, 66),
        ("{from: scratch, steps: [{copy: {source: a, target: /, chmod: '9'}}]}", "bad-value", 2, 67),
        ("{from: scratch, steps: [{copy: {source: a, target: /, link: true}}]}", "unsupported-key", 2, 60),
        ("{from: scratch, steps: [{host: {}}]}", "missing-key", 2, 37),
        ("{from: scratch, steps: [{host: {paths: [rel]}}]}", "bad-value", 2, 37),
        ("{from: scratch, steps: [{run: []}]}", "bad-value", 2, 36),
        ("{from: scratch, steps: [{run: {}}]}", "bad-type", 2, 36),
        ("{from: scratch, steps: [{env: {}}]}", "missing-key", 2, 36),
        ("{from: scratch, steps: [{volume: x}]}", "bad-value", 2, 39),
        ("{from: scratch, steps: [{expose: x}]}", "bad-port", 2, 39),
        ("{from: scratch, steps: [{workdir: ''}]}", "bad-value", 2, 40),
        ("{from: scratch, steps: [{stopsignal: '?'}]}", "bad-value", 2, 43),
        ("{from: i}", "image-cycle", 2, 13),
    ],
)  # fmt: skip
def test_mistakes(text: str, reason: str, line: int, column: int) -> None:
    assert errors_of(f"images:\n  i: {text}\n")[:1] == [(reason, "stack.yaml", line, column)]


def test_cycles_of_images_name_every_place() -> None:
    text = """\
        images:
          a: {from: b}
          b: {from: c}
          c: {from: scratch, steps: [{copy: {from: a, source: x, target: /}}]}
        """
    assert errors_of(text) == [("image-cycle", "stack.yaml", 2, 13)]
