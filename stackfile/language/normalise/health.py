"""Health checks."""

from __future__ import annotations

from stackfile.errors import StackError
from stackfile.language.nodes import Node, Scalar
from stackfile.language.normalise.basic import NO_TEXTS, boolean, duration, natural, text, texts
from stackfile.language.normalise.context import Context, fields
from stackfile.model.stack import Healthcheck

KINDS = frozenset({"CMD", "CMD-SHELL", "NONE"})
_DEFAULTS = Healthcheck(test=())


def parse(node: Node, context: Context) -> Healthcheck:
    """A health check. An empty `test` keeps the image's; `disable: true` is ("NONE",)."""
    reader = fields(node, context, "healthcheck")
    disabled = reader.take("disable", boolean, False)
    test = reader.take("test", _test, NO_TEXTS)
    check = Healthcheck(
        test=("NONE",) if disabled else test,
        interval=reader.take("interval", duration, _DEFAULTS.interval),
        timeout=reader.take("timeout", duration, _DEFAULTS.timeout),
        retries=reader.take("retries", natural, _DEFAULTS.retries),
        start_period=reader.take("start_period", duration, _DEFAULTS.start_period),
        start_interval=reader.take("start_interval", duration, _DEFAULTS.start_interval),
    )
    reader.finish()
    return check


def _test(node: Node) -> tuple[str, ...]:
    if isinstance(node, Scalar):
        return ("CMD-SHELL", text(node))
    test = texts(node)
    if not test:
        return test
    if test[0] not in KINDS:
        hint = "the first item is CMD, CMD-SHELL or NONE"
        raise StackError("bad-value", "not a health check", at=node.place, hint=hint)
    if test[0] == "CMD-SHELL" and len(test) != 2:
        raise StackError("bad-value", "CMD-SHELL takes one text", at=node.place)
    return test
