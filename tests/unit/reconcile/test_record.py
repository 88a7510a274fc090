"""What is remembered of a project."""

from __future__ import annotations

from dataclasses import replace

from stackfile import wire
from stackfile.model.observed import Project
from stackfile.model.stack import SecretResource
from stackfile.reconcile import record
from tests.unit.reconcile import kit

ALL = {"service.web", "service.db", "image.app", "network.default"}
OLD = kit.stack(kit.service("web"), kit.service("db"))
NEW = kit.stack(kit.service("web", user="7"), kit.service("db", user="7"))


def users(project: Project) -> dict[str, str]:
    assert project.stack is not None
    return {name: item.user for name, item in project.stack.services.items()}


def test_only_what_was_done_is_new() -> None:
    before = record.applied(None, OLD, ALL, {}, set(), True, "t1")
    after = record.applied(before, NEW, ALL - {"service.db"}, {}, set(), True, "t2")
    assert users(after) == {"web": "7", "db": ""}
    assert (after.generation, after.created, after.updated) == (2, "t1", "t2")


def test_what_vanished_is_kept_only_while_it_is_there() -> None:
    before = record.applied(None, OLD, ALL, {}, set(), True, "t")
    smaller = kit.stack(kit.service("web"))
    assert users(record.applied(before, smaller, ALL, {}, {"service.db"}, True, "t")) == {"web": "", "db": ""}
    assert users(record.applied(before, smaller, ALL, {}, set(), True, "t")) == {"web": ""}


def test_keys_of_what_was_stored() -> None:
    keys = {"config.a": "hmac:1", "config.a@web/1": "hmac:2", "config.b": "hmac:3", "secret.s": ""}
    project = record.applied(None, OLD, {"config.a", "secret.s"}, keys, set(), True, "t")
    assert project.keys == {"config.a": "hmac:1", "config.a@web/1": "hmac:2"}


def test_contents_of_secrets_are_not_remembered() -> None:
    stack = replace(OLD, secrets={"s": SecretResource(name="s", content=("hunter2",))})
    project = record.applied(None, stack, {"secret.s"}, {}, set(), True, "t")
    assert b"hunter2" not in wire.encode(project)
    assert project.stack is not None
    assert "s" in project.stack.secrets


def test_the_time_alone_is_no_difference() -> None:
    before = record.applied(None, OLD, ALL, {}, set(), True, "t1")
    assert not record.differs(before, record.applied(before, OLD, ALL, {}, set(), False, "t2"))
    assert record.differs(before, record.applied(before, OLD, ALL, {}, set(), True, "t2"))
    assert record.differs(None, before)
