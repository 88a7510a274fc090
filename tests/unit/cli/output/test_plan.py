"""Plans as text: the marks and words, where a value was written, the counts."""

from __future__ import annotations

from typing import Any

import pytest

from stackfile.cli.output import plan as plans
from stackfile.errors import Place
from stackfile.model.plan import Action, Cause, Change, Disruption, Instance, Note, Plan, Summary
from stackfile.model.stack import Origin, Port, Service, Stack, Via
from tests.unit.cli.output.consoles import console

STACK = Stack(
    name="quickstart",
    services={
        "web": Service(name="web", image="app", replicas=2, ports=(Port(target=8000, published=8080),)),
        "worker-mail": Service(name="worker-mail", image="app"),
    },
)


def at(line: int, *via: Via) -> Origin:
    return Origin(Place("stack.yaml", line, 5), via)


LEVEL = Via("values.log_level", Place("stack.yaml", 7, 14))


def change(path: str, before: Any, after: Any, origin: Origin | None = None, **rest: Any) -> Change:
    kind = rest.pop("kind", "file")
    return Change(
        path=path, before=before, after=after, strategy="recreate", cause=Cause(kind=kind, origin=origin, **rest)
    )


def recreate(name: str, origin: Origin) -> Action:
    return Action(
        id="x",
        address=f"service.{name}",
        action="recreate",
        instances=(Instance(index=1, container="c"),),
        changes=(change("/environment/LOG_LEVEL", "info", "debug", origin, kind="value"),),
        disruption=Disruption(interrupts=True),
    )


def test_the_tour() -> None:
    plan = Plan(
        project="quickstart",
        actions=(
            Action(
                id="a1",
                address="service.web",
                action="update",
                instances=(Instance(index=1), Instance(index=2)),
                changes=(change("/resources/memory", 64 << 20, 96 << 20, at(48)),),
            ),
            recreate("worker-mail", at(58, LEVEL)),
            recreate("worker-thumbnails", at(58, LEVEL)),
        ),
        summary=Summary(update=1, recreate=2, unchanged=7),
    )
    origin = "stack.yaml:7, used at :58"
    assert plans.render(plan, console(), STACK).splitlines() == [
        " ~   service.web[1..2]           in place   mem_limit  64 MiB → 96 MiB                stack.yaml:48",
        ' -/+ service.worker-mail         recreate   environment.LOG_LEVEL  "info" → "debug"   '
        "stack.yaml:7 (values.log_level), used at :58",
        f' -/+ service.worker-thumbnails   recreate   environment.LOG_LEVEL  "info" → "debug"   {origin}',
        "Plan: 0 create, 1 in place, 0 restart, 2 recreate, 0 remove; 7 unchanged. No request to web is interrupted.",
    ]


def test_nothing_to_do_is_one_line() -> None:
    plan = Plan(project="quickstart", unchanged=("service.web",), summary=Summary(unchanged=1))
    assert plans.render(plan, console(), STACK) == "quickstart is up to date: 2 resources, 3 containers."
    assert plans.render(plan, console()) == "quickstart is up to date: 1 resource."


@pytest.mark.parametrize("action", ["create", "build", "generate", "update", "restart", "recreate", "start", "stop",
                                    "remove"])  # fmt: skip
def test_every_action_has_mark_and_word(action: str) -> None:
    plan = Plan(actions=(Action(id="a", address="volume.x", action=action, detail="why"),), summary=Summary(create=1))
    first = plans.render(plan, console()).splitlines()[0]
    mark, word, _ = plans.WORDS[action]
    assert first.startswith(f" {mark:<3} volume.x ")
    assert first.endswith(f"{word:<10} why")


def test_interrupted_requests_are_said() -> None:
    plan = Plan(
        actions=(Action(id="a", address="service.web", action="recreate", disruption=Disruption(interrupts=True)),),
        summary=Summary(recreate=1),
    )
    assert plans.footer(plan, STACK).endswith("Requests to web are interrupted.")
    first = Plan(actions=(Action(id="a", address="service.web", action="create"),), summary=Summary(create=1))
    assert plans.footer(first, STACK).endswith("0 unchanged.")


def test_secrets_contents_and_structures() -> None:
    action = Action(
        id="a",
        address="service.web",
        action="restart",
        changes=(
            Change(path="/environment/TOKEN", before="hmac1", after="hmac2", strategy="recreate", sensitive=True,
                   cause=Cause(kind="config-content")),
            Change(path="/files/~1etc~1web.toml/content", before="h1", after="h2", strategy="signal",
                   signal="SIGHUP", cause=Cause(kind="config-content", detail="config web_conf")),
            change("/healthcheck", {"test": ["A"], "interval": 2 * 10**9}, {"test": ["A"], "interval": 3 * 10**9}),
            change("/resources/nano_cpus", 0, 15 * 10**8),
            change("/command", None, ["a", "b"]),
        ),
    )  # fmt: skip
    text = plans.render(Plan(actions=(action,), summary=Summary(restart=1)), console())
    assert "hmac" not in text
    assert [line[44:].strip() for line in text.splitlines()[:-1]] == [
        "environment.TOKEN  (content changed)",
        "files./etc/web.toml.content  config web_conf changed (SIGHUP)",
        "healthcheck.interval  2 s → 3 s",
        "cpus  0 → 1.5",
        'command  (none) → ["a", "b"]',
    ]


def test_images_by_name_and_content() -> None:
    one, two = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    built = Change(path="/image", before=one, after=two, strategy="recreate", cause=Cause(kind="image", detail="run"))
    action = Action(
        id="a",
        address="service.web",
        action="recreate",
        changes=(change("/image", one, two), change("/image_name", "web:1", f"web:1@{two}"), built),
    )
    text = plans.render(Plan(actions=(action,), summary=Summary(recreate=1)), console())
    assert [line[44:].strip() for line in text.splitlines()[:-1]] == [
        "image  content changed (sha256:111111111111 → sha256:222222222222)",
        "image  web:1 → web:1@sha256:222222222222",
        "image  run changed",
    ]


def test_notes_and_kept() -> None:
    plan = Plan(
        actions=(Action(id="a", address="volume.x", action="create"),),
        kept=({"address": "service.old", "reason": "orphan"},),
        notes=(Note(code="SF1", severity="warning", message="hm", address="service.web", origin=at(3)),),
        summary=Summary(create=1),
    )
    lines = plans.render(plan, console()).splitlines()
    assert lines[1].split() == ["=", "service.old", "kept", "orphan"]
    assert lines[2] == "warning: service.web: hm (stack.yaml:3:5)"
