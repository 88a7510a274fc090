"""Explanations for people."""

from __future__ import annotations

from stackfile.api import LastChange
from stackfile.cli.output import explain
from stackfile.errors import Place
from stackfile.model.plan import Action, Cause, Change
from stackfile.model.stack import ImageResource, Origin, Service, Stack, Step, Via

STACK = Stack(
    name="p",
    services={
        "worker-mail": Service(name="worker-mail", image="app", image_is_stack_image=True),
        "db": Service(name="db", image="postgres:16"),
    },
    images={
        "app": ImageResource(name="app", base="python", base_is_stack_image=True, steps=(Step(kind="copy"),)),
    },
    groups={"worker": ("worker-mail",)},
    origins={"service.worker-mail": Origin(Place("stack.yaml", 51, 3))},
)
LEVEL = Change(
    path="/environment/LEVEL",
    before="info",
    after="debug",
    strategy="recreate",
    cause=Cause(
        kind="value",
        origin=Origin(Place("stack.yaml", 58, 14), (Via("values.level", Place("stack.yaml", 7, 3)),)),
    ),
)
RECREATED = Action(id="a0", address="service.worker-mail", action="recreate", changes=(LEVEL,))
STARTED = Action(id="a0", address="service.worker-mail", action="start", cause=Cause(kind="drift", detail="exited 137"))
MINUTE = 60 * 10**9


def test_all_of_it() -> None:
    last = LastChange(job="apply", time_ns=5 * MINUTE, action=RECREATED)
    text = explain.render(STACK, "service.worker-mail", last, [STARTED], "", 7 * MINUTE)
    assert text.splitlines() == [
        "service.worker-mail   stack.yaml:51, one of worker (for_each)",
        '  recreated 2 min ago by `apply`: environment.LEVEL  "info" → "debug" (stack.yaml:7 (values.level), '
        "used at :58)",
        "  next up: start: exited 137",
        "  image.app: 1 step, on image.python",
    ]


def test_little_is_known() -> None:
    assert explain.render(STACK, "service.db", None, [], "", 0).splitlines() == [
        "service.db", "  next up: nothing", "  image postgres:16",
    ]  # fmt: skip
    assert explain.render(STACK, "image.app", None, [], "no stack.yaml", 0).splitlines() == [
        "image.app", "  next up: unknown (no stack.yaml)",
    ]  # fmt: skip
