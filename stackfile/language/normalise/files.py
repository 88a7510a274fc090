"""Configs and secrets of a service, given to it as files."""

from __future__ import annotations

import re

from stackfile.errors import StackError
from stackfile.language.nodes import Mapping, Node, Scalar
from stackfile.language.normalise.basic import file_mode, name, text
from stackfile.language.normalise.context import Context, Fields
from stackfile.model.stack import FileRef

SECRETS_DIRECTORY = "/run/secrets"
REACTIONS = frozenset({"restart", "recreate", "none"})


def parse(node: Node, kind: str, context: Context, owner: str) -> FileRef:
    """One reference: a name, or a mapping with source, target, uid, gid, mode, on_change."""
    if not isinstance(node, Mapping):
        source = name(node)
        context.refer(owner, kind, source, node.place)
        return FileRef(kind=kind, source=source, target=_default_target(kind, source))
    fields = Fields(node, context, f"a {kind} reference")
    source = fields.require("source", name, "")
    if source:
        context.refer(owner, kind, source, node.entries["source"].place)
    reference = FileRef(
        kind=kind,
        source=source,
        target=_target(kind, source, fields.take("target", name, "")),
        uid=fields.take("uid", _identity, "0"),
        gid=fields.take("gid", _identity, "0"),
        mode=fields.take("mode", file_mode, 0o444),
        on_change=fields.take("on_change", _reaction, "restart"),
    )
    fields.finish()
    return reference


def _identity(node: Node) -> str:
    """A numeric user or group: which names there are only the image knows."""
    value = text(node)
    if not value.isdecimal():
        raise StackError("bad-value", f"uid and gid are numbers, not {value!r}", at=node.place)
    return value


def _default_target(kind: str, source: str) -> str:
    return f"{SECRETS_DIRECTORY}/{source}" if kind == "secret" else f"/{source}"


def _target(kind: str, source: str, target: str) -> str:
    """A secret's relative target lies in /run/secrets, a config's in /."""
    if not target:
        return _default_target(kind, source)
    if target.startswith("/"):
        return target
    return f"{SECRETS_DIRECTORY}/{target}" if kind == "secret" else f"/{target}"


def _reaction(node: Node) -> str:
    value = text(node)
    if value in REACTIONS or re.fullmatch(r"SIG[A-Z0-9+\-]+", value):
        return value
    hint = "restart, recreate, none, or a signal such as SIGHUP"
    raise StackError("bad-value", f"no reaction {value!r}", at=node.place, hint=hint)


def secret_value(node: Node) -> str | None:
    """Name of the secret in `{secret: name}` of an environment; None for another kind of value."""
    if not isinstance(node, Mapping):
        return None
    child = node.get("secret")
    if len(node.entries) != 1 or not isinstance(child, Scalar) or not isinstance(child.value, str):
        raise StackError("bad-type", "a value is a scalar or `{secret: NAME}`", at=node.place)
    return child.value
