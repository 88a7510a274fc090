"""`build:` of services and images."""

from __future__ import annotations

import pytest

from stackfile.language import dump
from stackfile.model.stack import Build, Stack
from tests.unit.language.memory import errors_of, load_text

SECRETS = "secrets: {s: {content: x}}\n"


def build(text: str, **options: object) -> Build:
    stack = load_text(f"services: {{a: {{build: {text}}}}}\n{SECRETS}", **options)  # type: ignore[arg-type]
    found = stack.images["a"].build
    assert found is not None
    return found


def test_short() -> None:
    assert build("./web") == Build(context="/project/web", file="/project/web/Dockerfile")


def test_long() -> None:
    text = (
        "{context: web, dockerfile: ../D, target: t, args: {A: 1, HOST: , NONE: }, labels: [x=y], network: none,"
        " extra_hosts: ['h:1.2.3.4'], additional_contexts: {c: ./c, i: docker-image://x}, no_cache: true,"
        " secrets: [s, {source: s, target: t}], cache_from: [x]}"
    )
    assert build(text, environ={"HOST": "h"}) == Build(
        context="/project/web", dockerfile="../D", file="/project/web/../D", target="t", args={"A": "1", "HOST": "h"},
        labels={"x": "y"}, network="none", extra_hosts=("h=1.2.3.4",),
        contexts={"c": "/project/c", "i": "docker-image://x"}, no_cache=True, secrets={"s": "s", "t": "s"},
    )  # fmt: skip


def test_inline() -> None:
    found = build('{dockerfile_inline: "FROM x"}')
    assert (found.context, found.file, found.text) == ("/project", "", "FROM x")


STACK = """\
name: p
images:
  base: {from: scratch}
  own: {build: ./own, tags: [x/own]}
services:
  a: {build: .}
  Big: {build: ., image: "x/big:1"}
  own: {build: {context: ., tags: [t]}}
  uses: {image: own}
  off: {build: ., profiles: [never]}
  from: {build: {additional_contexts: {c: "service:a", d: base}}}
"""


def stack() -> Stack:
    return load_text(STACK)


def test_names_as_compose_has_them() -> None:
    found = stack()
    images = {name: (image.tags, image.service) for name, image in found.images.items()}
    assert images == {
        "base": (("p/base:latest",), ""),
        "own": (("p/own:latest", "x/own:latest"), ""),
        "a": (("p-a:latest",), "a"),
        "Big": (("x/big:1",), "Big"),
        "own.build": (("p-own:latest", "t:latest"), "own"),
        "from": (("p-from:latest",), "from"),
    }
    services = {name: (service.image, service.image_is_stack_image) for name, service in found.services.items()}
    assert services["own"] == ("own.build", True)
    assert services["uses"] == ("own", True)
    assert found.origins["image.a"].at.line == 6
    made = found.images["from"].build
    assert made is not None
    assert made.contexts == {"c": "image:a", "d": "image:base"}


def test_the_canonical_form_reads_back_as_itself() -> None:
    found = stack()
    plain = dump.to_plain(found)
    assert sorted(plain["images"]) == ["base", "own"]
    assert plain["services"]["a"]["build"] == {"context": "/project", "dockerfile": "Dockerfile"}
    assert load_text(dump.dump(found)).images == found.images


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[a]", "bad-type"),
        ("https://github.com/x/y.git", "unsupported-key"),
        ("{context: git@x:y}", "unsupported-key"),
        ("{colour: red}", "unknown-key"),
        ("{network: web}", "bad-value"),
        ("{dockerfile: a, dockerfile_inline: b}", "bad-value"),
        ("{secrets: [none]}", "unknown-reference"),
        ("{additional_contexts: {x: 'service:none'}}", "unknown-reference"),
        ("{additional_contexts: {x: 'oci-layout://x'}}", "unsupported-key"),
    ],
)
def test_mistakes(text: str, reason: str) -> None:
    assert [error[0] for error in errors_of(f"services: {{a: {{build: {text}}}}}\n")] == [reason]


def test_an_image_has_one_origin() -> None:
    found = errors_of("images:\n  i: {build: ., from: scratch, steps: []}\n")
    assert [error[0] for error in found] == ["bad-value", "bad-value"]
