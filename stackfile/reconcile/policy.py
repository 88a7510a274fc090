"""When the image of a service is pulled (compose-spec `pull_policy`). Pure."""

from __future__ import annotations

import re
from datetime import datetime

from stackfile.model.observed import Observed, UpOptions
from stackfile.model.stack import Service, Stack

_NAMED = {"daily": 24 * 3600.0, "weekly": 7 * 24 * 3600.0}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}
_PART = re.compile(r"([0-9]+)([smhdw])")


def due(stack: Stack, observed: Observed, options: UpOptions) -> dict[str, str]:
    """Reference → why it is to be pulled now. Of the references that were looked for, only."""
    found: dict[str, str] = {}
    for service in stack.services.values():
        if service.image_is_stack_image or service.image not in observed.references:
            continue
        reason = _reason(service, observed, options)
        if reason:
            found[service.image] = reason
    return found


def _reason(service: Service, observed: Observed, options: UpOptions) -> str:
    policy = options.pull or service.pull_policy or "missing"
    if policy == "never":
        return ""
    if not observed.references[service.image]:
        return "not here"
    if policy == "always":
        return "--pull always" if options.pull else "pull_policy: always"
    limit = period(policy)
    return f"pull_policy: {policy}" if limit and _age(service.image, observed) >= limit else ""


def period(policy: str) -> float:
    """Seconds of `daily`, `weekly` and `every_1d12h`; 0 of any other policy."""
    if policy in _NAMED:
        return _NAMED[policy]
    text = policy.removeprefix("every_")
    if text == policy or "".join(number + unit for number, unit in _PART.findall(text)) != text:
        return 0
    return float(sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text)))


def _age(reference: str, observed: Observed) -> float:
    """Seconds since it was pulled; an image that never was is as old as can be."""
    pulled = observed.pulled.get(reference, "")
    if not pulled or not observed.time:
        return float("inf") if observed.time else 0
    return (datetime.fromisoformat(observed.time) - datetime.fromisoformat(pulled)).total_seconds()
