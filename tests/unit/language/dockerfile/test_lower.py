"""Instructions as steps."""

from __future__ import annotations

from typing import Any

import pytest

from stackfile.errors import StackError
from stackfile.language import dockerfile
from stackfile.language.dockerfile.lower import Scope, lower
from stackfile.model.stack import SECOND, Healthcheck, RunMount, Step

VARIABLES = {"A": "1", "LIST": "80 81/udp"}


def step(text: str, **scope: Any) -> Step:
    parsed = dockerfile.parse(f"FROM a\n{text}\n")
    return lower(parsed.stages[0].instructions[0], Scope(**{"variables": VARIABLES, **scope}))


def reason(text: str) -> tuple[str, int, int]:
    with pytest.raises(StackError) as caught:
        step(text)
    assert caught.value.at is not None
    return caught.value.reason, caught.value.at.line, caught.value.at.column


def test_env_and_label() -> None:
    assert step('ENV X=$A Y="two words" Z=a\\ b').mapping == {"X": "1", "Y": "two words", "Z": "a b"}
    assert step("ENV X the rest  $A").mapping == {"X": "the rest  1"}
    assert step('LABEL "a.b"="c" d=').mapping == {"a.b": "c", "d": ""}
    assert step("MAINTAINER me").mapping == {}


def test_arguments() -> None:
    scope = {"args": {"B": "given"}, "outer": {"TARGETOS": "linux", "B": "outer"}}
    assert step("ARG B", **scope).mapping == {"B": "given"}
    assert step("ARG B=default", **scope).mapping == {"B": "given"}
    assert step("ARG C=$A", **scope).mapping == {"C": "1"}
    assert step("ARG TARGETOS", **scope).mapping == {"TARGETOS": "linux"}
    assert step("ARG D", **scope).mapping == {}
    assert step("ARG E=x F=$E").mapping == {"E": "x", "F": "x"}


def test_run() -> None:
    assert step("RUN echo $A").argv == ("/bin/sh", "-c", "echo $A")
    assert step('RUN ["a", "$A"]').argv == ("a", "$A")
    assert step("RUN x", shell=("/bin/bash", "-c")).argv == ("/bin/bash", "-c", "x")
    assert step("RUN <<E\na\nb\nE").argv == ("/bin/sh", "-c", "a\nb\n")
    assert step("RUN cat <<E > x\na\nE").argv == ("/bin/sh", "-c", "cat <<E > x\na\nE\n")
    script = step("RUN <<E\n#!/usr/bin/env python3\nprint()\nE")
    assert (script.argv, script.inline) == (("/run/E",), {"E": "#!/usr/bin/env python3\nprint()\n"})
    proxied = step("RUN x", args={"HTTP_PROXY": "p", "OTHER": "o"})
    assert proxied.mapping == {"HTTP_PROXY": "p"}
    assert step("RUN --network=none x").network == "none"
    assert step("RUN --network=default x", network="host").network == ""
    assert step("RUN x", network="host").network == "host"


def test_mounts() -> None:
    found = step(
        "RUN --mount=type=cache,dst=/c,uid=7,mode=0700,sharing=locked --mount=source=s,target=/b,from=build"
        " --mount=type=tmpfs,target=/t,size=1m --mount=type=secret,id=k,required true",
        keys={"build": "build"},
    ).mounts
    assert found == (
        RunMount(type="cache", target="/c", id="/c", uid=7, mode=0o700, sharing="locked"),
        RunMount(type="bind", target="/b", source="s", from_image="build", id="/b", read_only=True),
        RunMount(type="tmpfs", target="/t", id="/t", size=1 << 20),
        RunMount(type="secret", target="/run/secrets/k", id="k", required=True),
    )


def test_copy() -> None:
    found = step('COPY --from=0 --chown=$A:2 --chmod=0644 ["a b", "$A", "/t/"]', keys={"0": "build"})
    assert (found.source, found.target, found.from_image) == (("a b", "1"), "/t/", "build")
    assert (found.chown, found.chmod) == ("1:2", "0644")
    assert step("COPY <<E <<'F' /t/\n$A\nE\n$A\nF").inline == {"E": "1\n", "F": "$A\n"}
    assert step("ADD --checksum=sha256:0 https://x/y z").checksum == "sha256:0"


def test_settings() -> None:
    assert step("EXPOSE $LIST 90-92/TCP").argv == ("80/tcp", "81/udp", "90/tcp", "91/tcp", "92/tcp")
    assert step('VOLUME ["/a", "/b$A"]').argv == ("/a", "/b1")
    assert step("VOLUME /a /b").argv == ("/a", "/b")
    assert step("WORKDIR /w/$A").text == "/w/1"
    assert step('CMD ["a"]').argv == ("a",)
    assert step("ENTRYPOINT exec $A").argv == ("/bin/sh", "-c", "exec $A")
    assert step('SHELL ["/bin/bash", "-c"]').argv == ("/bin/bash", "-c")
    assert step("ONBUILD RUN x $A").argv == ("RUN x $A",)
    assert step("STOPSIGNAL SIGINT").text == "SIGINT"


def test_health() -> None:
    assert step("HEALTHCHECK NONE").healthcheck == Healthcheck(test=("NONE",))
    found = step('HEALTHCHECK --interval=5s --retries=2 CMD ["a", "b"]').healthcheck
    assert found == Healthcheck(test=("CMD", "a", "b"), interval=5 * SECOND, retries=2)
    assert step("HEALTHCHECK CMD a | b").healthcheck == Healthcheck(test=("CMD-SHELL", "a | b"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("COPY a", ("dockerfile-syntax", 2, 1)),
        ("COPY --exclude=x a b", ("unsupported-key", 2, 6)),
        ("ADD git@x:y /z", ("unsupported-key", 2, 5)),
        ("EXPOSE 70000", ("bad-port", 2, 8)),
        ("ENV A", ("dockerfile-syntax", 2, 5)),
        ("ENV A=1 B", ("dockerfile-syntax", 2, 9)),
        ("SHELL bash", ("dockerfile-syntax", 2, 7)),
        ("HEALTHCHECK RUN x", ("dockerfile-syntax", 2, 13)),
        ("HEALTHCHECK --interval=x CMD y", ("bad-duration", 2, 1)),
        ("ONBUILD FROM x", ("dockerfile-syntax", 2, 9)),
        ("RUN --network=moon x", ("bad-value", 2, 15)),
        ("RUN --mount=type=ssh x", ("unsupported-key", 2, 18)),
        ("RUN --mount=type=cache x", ("missing-key", 2, 5)),
        ("RUN --mount=type=cache,target=/x,colour=red x", ("unknown-key", 2, 34)),
        ("USER $NONE", ("dockerfile-syntax", 2, 6)),
        ("RUN []", ("dockerfile-syntax", 2, 1)),
    ],
)
def test_mistakes(text: str, expected: tuple[str, int, int]) -> None:
    assert reason(text) == expected
