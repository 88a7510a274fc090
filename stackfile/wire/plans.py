"""Plans as documents (`stackfile.plan/v1`): what `plan --json` prints, `plan -o` saves and `apply` reads.

The document says `from`, `to`, `at` and `via` where the dataclasses say `before`, `after` and `origin`. Its digest is
that of the RFC 8785 form of everything but `fingerprint.plan` and `signature`.
"""

from __future__ import annotations

from typing import Any

from stackfile import digest
from stackfile.errors import RefusedError, StackError
from stackfile.model.plan import Plan
from stackfile.model.stack import Stack
from stackfile.wire.codec import from_plain, to_plain

FORMAT = "stackfile.plan/v1"


def to_document(plan: Plan) -> dict[str, Any]:
    """The document of a plan, as plain data."""
    document: dict[str, Any] = to_plain(plan)
    for action in document["actions"]:
        action["cause"] = _cause_out(action["cause"])
        action["changes"] = [_change_out(change) for change in action["changes"]]
    document["notes"] = [_note_out(note) for note in document["notes"]]
    return document


def from_document(document: dict[str, Any]) -> Plan:
    """The plan that a document says; what it says beyond that is ignored.

    Raises StackError (`bad-value`) for a document of another format, ActionError (`bad-request`) for a damaged one.
    """
    if document.get("format") != FORMAT:
        raise StackError("bad-value", "not a saved plan", cause=f"its format is not {FORMAT}")
    try:
        actions = [
            {
                **action,
                "cause": _cause_in(action.get("cause")),
                "changes": [_change_in(change) for change in action.get("changes", ())],
            }
            for action in document.get("actions", ())
        ]
        notes = [_note_in(note) for note in document.get("notes", ())]
    except (AttributeError, KeyError, TypeError) as error:
        raise StackError("bad-value", "not a saved plan", cause=f"{type(error).__name__}: {error}") from error
    return from_plain({**document, "actions": actions, "notes": notes}, Plan)


def document_digest(document: dict[str, Any]) -> str:
    """`sha256:…` of a document without its own digest and its signature."""
    fingerprint = {key: value for key, value in document.get("fingerprint", {}).items() if key != "plan"}
    rest = {key: value for key, value in document.items() if key != "signature"}
    return digest.sha256(digest.jcs({**rest, "fingerprint": fingerprint}))


def _cause_out(cause: dict[str, Any] | None) -> dict[str, Any] | None:
    if cause is None:
        return None
    origin = cause["origin"] or {}
    found = {"kind": cause["kind"], "at": origin.get("at"), "via": _via_out(origin.get("via", ()))}
    return {**found, "detail": cause["detail"]}


def _cause_in(cause: dict[str, Any] | None) -> dict[str, Any] | None:
    if cause is None:
        return None
    return {"kind": cause["kind"], "detail": cause.get("detail", ""), "origin": _origin_in(cause)}


def _via_out(steps: Any) -> list[dict[str, Any]]:
    return [{"name": step["name"], **step["at"]} for step in steps]


def _origin_in(holder: dict[str, Any]) -> dict[str, Any] | None:
    if holder.get("at") is None:
        return None
    via = [
        {"name": step["name"], "at": {key: value for key, value in step.items() if key != "name"}}
        for step in holder.get("via", ())
    ]
    return {"at": holder["at"], "via": via}


def _change_out(change: dict[str, Any]) -> dict[str, Any]:
    return {
        "path": change["path"],
        "from": change["before"],
        "to": change["after"],
        "strategy": change["strategy"],
        "sensitive": change["sensitive"],
        "signal": change["signal"],
        "cause": _cause_out(change["cause"]),
    }


def _change_in(change: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in change.items() if key not in ("from", "to")}
    return {**rest, "before": change["from"], "after": change["to"], "cause": _cause_in(change["cause"])}


def _note_out(note: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in note.items() if key != "origin"}
    origin = note["origin"] or {}
    return {**rest, "at": origin.get("at"), "via": _via_out(origin.get("via", ()))}


def _note_in(note: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in note.items() if key not in ("at", "via")}
    return {**rest, "origin": _origin_in(note)}


def read_plan(document: dict[str, Any]) -> tuple[Plan, Stack]:
    """A saved plan and the model that it wants.

    Raises StackError (`bad-value`) for something else, RefusedError (`stale-plan`) when it was changed by hand.
    """
    plan = from_document(document)
    if "stack" not in plan.desired:
        raise StackError("bad-value", "the plan does not hold the wanted model", hint="save it with `plan -o FILE`")
    if document_digest(document) != plan.fingerprint.plan:
        raise RefusedError(
            "stale-plan",
            "the plan was changed after it was made",
            cause="its digest differs",
            hint="look at a new plan: `stackfile plan`",
        )
    return plan, from_plain(plan.desired["stack"], Stack)
