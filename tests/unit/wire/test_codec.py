"""Typed JSON of the model."""

from __future__ import annotations

import pytest

from stackfile import wire
from stackfile.errors import ActionError, Place
from stackfile.model.event import JobEvent
from stackfile.model.plan import Action, Cause, Change, Plan
from stackfile.model.stack import Origin, SecretRef, SecretResource, Service, Stack, Via


def stack() -> Stack:
    variant = Service(name="web", image="app", environment={"REPLICA": "1"})
    return Stack(
        name="p",
        services={
            "web": Service(
                name="web",
                image="app",
                environment={"PLAIN": "x", "PASSED": None, "SECRET": SecretRef("s")},
                replicas=1,
                variants=(variant,),
            )
        },
        secrets={"s": SecretResource(name="s", content=("a", SecretRef("t")))},
        origins={"service.web": Origin(Place("stack.yaml", 3, 1), (Via("values.x", Place("stack.yaml", 1, 1)),))},
    )


def test_a_stack_survives_the_way_there_and_back() -> None:
    assert wire.decode(wire.encode(stack()), Stack) == stack()


def test_plain_data_survives_it_too() -> None:
    plain = wire.to_plain(stack())
    assert plain["services"]["web"]["variants"][0]["environment"] == {"REPLICA": "1"}
    assert wire.from_plain(plain, Stack) == stack()


def test_a_plan_with_changes_of_any_value_survives() -> None:
    change = Change(path="/command", before=["a"], after=None, strategy="recreate", cause=Cause(kind="file"))
    plan = Plan(project="p", actions=(Action(id="a0", address="service.web", action="recreate", changes=(change,)),))
    assert wire.decode(wire.encode(plan), Plan) == plan


def test_unknown_fields_are_ignored() -> None:
    assert wire.decode(b'{"sequence": 1, "type": "job", "later": true}', JobEvent) == JobEvent(sequence=1, type="job")


@pytest.mark.parametrize("data", [b'{"name": 1}', b'{"name": ', b"[]", b'{"name": "p", "services": {"w": {}}}'])
def test_what_does_not_fit_is_a_bad_request_that_says_where(data: bytes) -> None:
    with pytest.raises(ActionError) as caught:
        wire.decode(data, Stack)
    assert caught.value.reason == "bad-request"
    assert "Stack" in caught.value.message


def test_the_path_of_a_wrong_value_is_named() -> None:
    with pytest.raises(ActionError) as caught:
        wire.from_plain({"name": "p", "services": {"web": {"name": "web", "image": 3}}}, Stack)
    assert "$.services" in caught.value.cause
