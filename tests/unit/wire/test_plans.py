"""Plans as documents: there and back, and the digest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stackfile import digest, wire
from stackfile.errors import ActionError, Place, RefusedError, StackError
from stackfile.model.plan import Action, Cause, Change, Instance, Note, Plan, Summary
from stackfile.model.stack import Origin, Stack, Via

ORIGIN = Origin(Place("stack.yaml", 63, 18), (Via("values.level", Place("stack.yaml", 8, 14)),))
PLAN = Plan(
    project="p",
    options={"services": [], "remove_orphans": False, "force_recreate": False},
    actions=(
        Action(
            id="a1",
            address="service.web",
            action="recreate",
            instances=(Instance(index=1, container="3f2a"),),
            changes=(
                Change(
                    path="/environment/LEVEL",
                    before="info",
                    after=None,
                    strategy="recreate",
                    cause=Cause(kind="value", origin=ORIGIN),
                ),
            ),
            cause=Cause(kind="drift", detail="stopped"),
        ),
    ),
    notes=(Note(code="n", severity="info", message="m", origin=ORIGIN),),
    summary=Summary(recreate=1),
)


def test_there_and_back() -> None:
    document = json.loads(json.dumps(wire.to_document(PLAN)))
    assert wire.from_document(document) == PLAN
    assert wire.from_document({**document, "later": 1}) == PLAN


def test_the_words_of_the_document() -> None:
    document = wire.to_document(PLAN)
    (change,) = document["actions"][0]["changes"]
    assert (change["from"], change["to"], change["sensitive"]) == ("info", None, False)
    assert change["cause"]["at"] == {"file": "stack.yaml", "line": 63, "column": 18}
    assert change["cause"]["via"] == [{"name": "values.level", "file": "stack.yaml", "line": 8, "column": 14}]
    assert document["notes"][0]["at"]["line"] == 63
    example = json.loads((Path(__file__).parent / "plan-example.json").read_text())
    assert set(example) <= set(document)
    assert set(example["actions"][0]) <= set(document["actions"][0])
    assert set(example["actions"][0]["changes"][0]) <= set(change)
    assert set(example["fingerprint"]) == set(document["fingerprint"])
    assert set(example["summary"]) == set(document["summary"])


def test_the_digest_covers_all_but_itself_and_the_signature() -> None:
    document = wire.to_document(PLAN)
    found = wire.document_digest(document)
    document["fingerprint"]["plan"] = found
    document["signature"] = "signed"
    assert wire.document_digest(document) == found
    document["project"] = "q"
    assert wire.document_digest(document) != found


def test_canonical_json_of_rfc_8785() -> None:
    value = {"\U0001f600": 1, "\uffee": 2, "é": [True, None, "\x7f\n"], "a": {"b": 1, "a": 2.0}}
    text = '{"a":{"a":2,"b":1},"é":[true,null,"\x7f\\n"],"\U0001f600":1,"\uffee":2}'
    assert digest.jcs(value) == text.encode()


@pytest.mark.parametrize(
    ("document", "error", "reason"),
    [
        ({}, StackError, "bad-value"),
        ({"format": "stackfile.plan/v2"}, StackError, "bad-value"),
        ({"format": "stackfile.plan/v1", "actions": [{"changes": [{}]}]}, StackError, "bad-value"),
        ({"format": "stackfile.plan/v1", "project": 3}, ActionError, "bad-request"),
        (wire.to_document(PLAN), StackError, "bad-value"),
    ],
)
def test_what_is_no_saved_plan(document: dict[str, object], error: type[Exception], reason: str) -> None:
    with pytest.raises(error) as caught:
        wire.read_plan(document)
    assert getattr(caught.value, "reason", "") == reason


def test_a_plan_that_was_changed_by_hand() -> None:
    document = wire.to_document(PLAN)
    document["desired"] = {"stack": wire.to_plain(Stack(name="p"))}
    document["fingerprint"]["plan"] = wire.document_digest(document)
    assert wire.read_plan(document)[1] == Stack(name="p")
    document["actions"] = []
    with pytest.raises(RefusedError) as caught:
        wire.read_plan(document)
    assert caught.value.reason == "stale-plan"
