"""How a service lives: its log, its hooks, how its replicas are replaced."""

from __future__ import annotations

import re

from stackfile.errors import StackError
from stackfile.language import scalars, units
from stackfile.language.nodes import Node, Scalar
from stackfile.language.normalise.basic import any_text, boolean, command, duration, natural, pairs, text
from stackfile.language.normalise.context import Context, Fields, as_mapping, not_a
from stackfile.model.stack import Hook, LogConfig, Rollout

DRIVERS = frozenset({"json-file", "local", "none"})
_LOG_OPTIONS = frozenset({"max-size", "max-file"})
_DEFAULT = LogConfig()
_ORDERS = frozenset({"stop-first", "start-first"})
_FAILURES = frozenset({"pause", "continue", "rollback"})


def logging(node: Node, context: Context, address: str) -> LogConfig:
    """`logging`: driver and options. Options that mean nothing here are kept, and noted."""
    fields = Fields(as_mapping(node), context, "logging")
    driver = fields.take("driver", text, "") or _DEFAULT.driver
    if driver not in DRIVERS:
        why = f"logs are kept here, not sent to {driver}"
        context.ignore(address, "logging/driver", fields.tree.entries["driver"].place, why)
    nothing: dict[str, str] = {}
    options = fields.take("options", lambda child: _options(child, context, address), nothing)
    size, files = options.get("max-size"), options.get("max-file")
    tree = fields.node("options")
    fields.finish()
    try:
        return LogConfig(
            driver=driver,
            max_size=units.size(size) if size else _DEFAULT.max_size,
            max_files=_files(files) if files else _DEFAULT.max_files,
            options=options,
        )
    except StackError as error:
        error.at = tree.place if tree is not None else node.place
        raise


def _options(node: Node, context: Context, address: str) -> dict[str, str]:
    options = pairs(as_mapping(node))
    for key in [key for key in options if key not in _LOG_OPTIONS]:
        place = as_mapping(node).keys[key].place
        context.ignore(address, f"logging/options/{key}", place, "no such option here")
    return options


def _files(value: str) -> int:
    count = scalars.whole(value)
    if count is None or count < 1:
        raise StackError("bad-value", f"max-file is a number from 1 on, not {value!r}")
    return count


def hook(node: Node, context: Context) -> Hook:
    """An item of `post_start` or `pre_stop`."""
    fields = Fields(as_mapping(node), context, "a hook", ("command",))
    nothing: tuple[str, ...] = ()
    result = Hook(
        command=fields.require("command", command, nothing),
        user=fields.take("user", text, ""),
        privileged=fields.take("privileged", boolean, False),
        working_dir=fields.take("working_dir", text, ""),
        environment=fields.take("environment", pairs, {}),
    )
    fields.finish()
    if not result.command and "command" in fields.tree.entries:
        raise StackError("bad-value", "the hook has no command", at=node.place)
    return result


def rollout(node: Node, context: Context) -> Rollout:
    """`deploy.update_config` or `rollback_config`."""
    fields = Fields(as_mapping(node), context, "a rollout")
    result = Rollout(
        parallelism=fields.take("parallelism", natural, 1),
        delay=fields.take("delay", duration, 0),
        order=fields.take("order", lambda child: _one_of(child, _ORDERS), "stop-first"),
        failure_action=fields.take("failure_action", lambda child: _one_of(child, _FAILURES), "pause"),
        monitor=fields.take("monitor", duration, 0),
        max_failure_ratio=fields.take("max_failure_ratio", _ratio, 0.0),
    )
    fields.finish()
    return result


def _one_of(node: Node, words: frozenset[str]) -> str:
    value = text(node)
    if value not in words:
        raise StackError("bad-value", f"{value!r} is none of {', '.join(sorted(words))}", at=node.place)
    return value


def _ratio(node: Node) -> float:
    value = any_text(node) if isinstance(node, Scalar) else not_a(node, "a number")
    if not re.fullmatch(r"[01](\.\d+)?|\.\d+", value) or float(value) > 1:
        raise StackError("bad-value", f"a ratio is from 0 to 1, not {value!r}", at=node.place)
    return float(value)
