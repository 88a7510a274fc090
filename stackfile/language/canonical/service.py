"""Services and jobs, with `build`, `deploy`, `develop` and hooks."""

from __future__ import annotations

import re
from typing import Any

from stackfile.errors import StackError
from stackfile.language.canonical import container, shapes
from stackfile.language.canonical.container import CONTAINER
from stackfile.language.canonical.shapes import Table, list_of, map_of, record
from stackfile.language.nodes import Mapping, Node, Scalar, Sequence
from stackfile.language.normalise import ports as published
from stackfile.language.normalise.basic import is_empty
from stackfile.language.normalise.context import Context, Skip, not_a

CONTAINER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
REMOTE = re.compile(r"(https?|git|ssh)://|git@|github\.com/|[a-z0-9+-]+://|service:")


# ---------------------------------------------------------------- build


def _context(node: Node, context: Context) -> str:
    value = shapes.text(node, context)
    return value if not value or REMOTE.match(value) else context.shown_path(value, node.place)


def _additional(node: Node, context: Context) -> dict[str, str]:
    """Named contexts: what is neither a URL nor a service is a directory."""
    result: dict[str, str] = {}
    for key, value in shapes.variables(node, context).items():
        text = value or ""
        result[key] = text if "://" in text or text.startswith("service:") else context.shown_path(text, node.place)
    return result


def _arguments(node: Node, context: Context) -> dict[str, str]:
    """Arguments; one without a value is the caller's variable, or left out."""
    scope = context.variables_at(node.place)
    found = {key: scope.get(key) if value is None else value for key, value in shapes.variables(node, context).items()}
    return {key: value for key, value in found.items() if value is not None}


def _ssh(node: Node, context: Context) -> list[str]:
    found = shapes.variables(node, context)
    for key, value in found.items():
        if value is None and key != "default" and not isinstance(node, Mapping):
            raise StackError(
                "bad-value", f"not an SSH agent or key: {key!r}", at=node.place, hint="default, or ID=PATH"
            )
    return [f"{key}={value}" if value else key for key, value in found.items()]


BUILD: Table = {
    "additional_contexts": _additional,
    "args": _arguments,
    "cache_from": shapes.texts,
    "cache_to": shapes.texts,
    "context": _context,
    "dockerfile": shapes.text,
    "dockerfile_inline": shapes.text,
    "entitlements": shapes.texts,
    "extra_hosts": container.hosts,
    "isolation": shapes.text,
    "labels": shapes.labels,
    "network": shapes.text,
    "no_cache": shapes.boolean,
    "no_cache_filter": shapes.one_or_distinct,
    "platforms": shapes.texts,
    "privileged": shapes.boolean,
    "provenance": shapes.text_or_boolean,
    "pull": shapes.boolean,
    "sbom": shapes.text_or_boolean,
    "secrets": container.file_references("secret", build=True),
    "shm_size": shapes.size,
    "ssh": shapes.distinct(_ssh),
    "tags": shapes.unique_texts,
    "target": shapes.text,
    "ulimits": container.ulimits,
}
_BUILD_RECORD = record("build", BUILD)


def build(node: Node, context: Context) -> dict[str, Any]:
    """`build`: a directory or URL, or a mapping."""
    if isinstance(node, Scalar):
        plain: dict[str, Any] = {"context": _context(node, context)}
        defaults = {"dockerfile": "Dockerfile"} if context.form.normalize else {}
        return {key: value for key, value in plain.items() if value} | defaults
    plain = _BUILD_RECORD(node, context)
    assert isinstance(node, Mapping)
    if "context" not in node.entries:
        plain["context"] = context.shown_path(".", node.place)
    if plain.get("dockerfile") and plain.get("dockerfile_inline"):
        message = "`dockerfile` and `dockerfile_inline` say two things"
        context.report(StackError("bad-value", message, at=node.keys["dockerfile_inline"].place))
    given = "dockerfile_inline" in node.entries or is_empty(node.get("dockerfile"))
    if context.form.normalize and "dockerfile" not in plain and not given:
        plain["dockerfile"] = "Dockerfile"
    return plain


# ---------------------------------------------------------------- ports


def ports(node: Node, context: Context) -> list[dict[str, Any]]:
    """`ports`, a range of several as several; each once."""
    if not isinstance(node, Sequence):
        return not_a(node, "a list")
    result: list[dict[str, Any]] = []
    for item in node.items:
        try:
            found = _port(item, context)
        except StackError as error:
            error.at = error.at or item.place
            raise
        result += [port for port in found if port not in result]
    return result


def _port(node: Node, context: Context) -> list[dict[str, Any]]:
    if isinstance(node, Mapping):
        return [_long_port(node, context)]
    value = shapes.text_or_integer(node, context)
    any_port = re.search(r"(^|:)0:", value) is not None
    return [
        {"mode": port.mode, "target": port.target, "protocol": port.protocol}
        | ({"host_ip": port.host_ip} if port.host_ip else {})
        | ({"published": published_text(port.published, port.published_last)} if port.published or any_port else {})
        for port in published.short(value)
    ]


def published_text(first: int, last: int) -> str:
    return f"{first}-{last}" if last else str(first)


def _long_port(node: Mapping, context: Context) -> dict[str, Any]:
    plain: dict[str, Any] = {"mode": "ingress", "protocol": "tcp"} | _PORT(node, context)
    if not plain.get("target"):
        raise StackError("missing-key", "a port needs `target`", at=node.place)
    return plain


def _address(node: Node, context: Context) -> str:
    value = shapes.text(node, context)
    published.address(value)
    return value


_PORT = record(
    "a port",
    {
        "name": shapes.text,
        "mode": shapes.text,
        "host_ip": _address,
        "target": shapes.between(shapes.integer, 0, 0xFFFFFFFF),
        "published": shapes.text_or_integer,
        "protocol": shapes.text,
        "app_protocol": shapes.text,
    },
)

# ---------------------------------------------------------------- deploy

_UPDATE = record(
    "a roll-out",
    {
        "parallelism": shapes.integer,
        "delay": shapes.duration,
        "failure_action": shapes.text,
        "monitor": shapes.duration,
        "max_failure_ratio": shapes.fraction,
        "order": shapes.one_of("start-first", "stop-first"),
    },
    keep=("parallelism",),
)
_SPEC = record(
    "discrete_resource_spec",
    {"kind": shapes.text, "value": shapes.number},
    keep=("kind", "value"), defaults={"kind": "", "value": 0},
)  # fmt: skip
_GENERIC = list_of(record("generic_resources", {"discrete_resource_spec": _SPEC}))


def _memory(node: Node, context: Context) -> str:
    shapes.text(node, context)
    return shapes.size(node, context)


RESERVATIONS: Table = {
    "cpus": shapes.fraction,
    "memory": _memory,
    "generic_resources": _GENERIC,
    "devices": container.reserved_devices,
}
_RESOURCES = record(
    "deploy.resources",
    {
        "limits": record(
            "deploy.resources.limits", {"cpus": shapes.fraction, "memory": _memory, "pids": shapes.integer}
        ),
        "reservations": record("deploy.resources.reservations", RESERVATIONS),
    },
    keep=("limits", "reservations"),
)
RESTART_POLICY: Table = {
    "condition": shapes.text,
    "delay": shapes.duration,
    "max_attempts": shapes.integer,
    "window": shapes.duration,
}
DEPLOY: Table = {
    "mode": shapes.text,
    "endpoint_mode": shapes.text,
    "replicas": shapes.integer,
    "labels": shapes.labels,
    "update_config": _UPDATE,
    "rollback_config": _UPDATE,
    "resources": _RESOURCES,
    "restart_policy": record("deploy.restart_policy", RESTART_POLICY, keep=("max_attempts",)),
    "placement": record(
        "deploy.placement",
        {
            "constraints": shapes.texts,
            "preferences": list_of(record("a preference", {"spread": shapes.text})),
            "max_replicas_per_node": shapes.integer,
        },
    ),
}
_DEPLOY = record(
    "deploy",
    DEPLOY,
    keep=("replicas", "update_config", "rollback_config", "restart_policy", "resources", "placement"),
)


def deploy(node: Node, context: Context) -> dict[str, Any] | None:
    if shapes.is_null(node):
        return None
    plain: dict[str, Any] = {"resources": {}, "placement": {}} | _DEPLOY(node, context)
    return plain


# ---------------------------------------------------------------- the rest

_HEALTH = record(
    "healthcheck",
    {
        "disable": shapes.boolean,
        "interval": shapes.duration,
        "retries": shapes.number,
        "test": lambda node, context: _test(node, context),
        "timeout": shapes.duration,
        "start_period": shapes.duration,
        "start_interval": shapes.duration,
    },
    keep=("retries",),
)


def _test(node: Node, context: Context) -> list[str]:
    if not isinstance(node, Sequence):
        return ["CMD-SHELL", shapes.text(node, context)]
    words: list[str] = shapes.texts(node, context)
    if words and words[0] not in ("CMD", "CMD-SHELL", "NONE"):
        hint = "the first item is CMD, CMD-SHELL or NONE"
        raise StackError("bad-value", "not a health check", at=node.place, hint=hint)
    return words


_HOOK = record(
    "a hook",
    {
        "command": container.command,
        "user": shapes.text,
        "privileged": shapes.boolean,
        "working_dir": shapes.text,
        "environment": shapes.distinct(shapes.environment),
    },
    keep=("command",),
    required=("command",),
)
_WATCHED = record(
    "develop.watch",
    {
        "ignore": shapes.one_or_distinct,
        "include": shapes.one_or_distinct,
        "path": lambda node, context: context.shown_path(shapes.text(node, context), node.place),
        "action": shapes.one_of("rebuild", "sync", "restart", "sync+restart", "sync+exec"),
        "target": shapes.text,
        "exec": _HOOK,
        "initial_sync": shapes.strict_boolean,
    },
    required=("path", "action"),
)


def _watched(node: Node, context: Context) -> dict[str, Any]:
    plain: dict[str, Any] = {"exec": {"command": None}} | _WATCHED(node, context)
    if plain.get("action") in ("sync", "sync+restart", "sync+exec") and not plain.get("target"):
        raise StackError("missing-key", f"{plain['action']} needs `target`", at=node.place)
    return plain


_DEVELOP = record("develop", {"watch": list_of(_watched)})


def _develop(node: Node, context: Context) -> Any:
    if shapes.is_null(node):
        raise Skip
    return _DEVELOP(node, context)


def _provider_option(node: Node, context: Context) -> list[str]:
    items = node.items if isinstance(node, Sequence) else [node]
    return [shapes.scalar(item, context, null=False) or "" for item in items]


def _provider_options(node: Node, context: Context) -> dict[str, list[str]]:
    options: dict[str, list[str]] = map_of(_provider_option)(node, context)
    return {key: values for key, values in options.items() if values}


_PROVIDER = record(
    "provider", {"type": shapes.text, "options": _provider_options}, required=("type",)
)  # fmt: skip
_CONDITION = record(
    "depends_on",
    {
        "condition": shapes.one_of("service_started", "service_healthy", "service_completed_successfully"),
        "restart": shapes.boolean,
        "required": shapes.boolean,
    },
    keep=("required",),
    required=("condition",),
)


def depends_on(node: Node, context: Context) -> dict[str, Any]:
    if isinstance(node, Sequence):
        return {name: {"condition": "service_started"} for name in shapes.distinct_texts(node, context)}
    return map_of(_CONDITION, container.NAME)(node, context)  # type: ignore[no-any-return]


def _extends(node: Node, context: Context) -> None:
    """Resolved before."""


_STEP = record(
    "pre_start",
    CONTAINER | {"per_replica": shapes.boolean},
    keep=container.KEPT,
)
WORKLOAD: Table = {
    "build": build,
    "depends_on": depends_on,
    "expose": container.expose,
    "healthcheck": _HEALTH,
    "ports": ports,
    "stdin_open": shapes.boolean,
    "tty": shapes.boolean,
}
_KEPT = container.KEPT | {"attach", "scale", "healthcheck", "develop"}
SERVICE: Table = {
    **CONTAINER,
    **WORKLOAD,
    "attach": shapes.boolean,
    "container_name": shapes.matching(CONTAINER_NAME, "a container name"),
    "deploy": deploy,
    "develop": _develop,
    "extends": _extends,
    "external_links": shapes.distinct_texts,
    "links": shapes.unique_texts,
    "post_start": list_of(_HOOK),
    "pre_start": list_of(_STEP),
    "pre_stop": list_of(_HOOK),
    "profiles": shapes.unique_texts,
    "provider": _PROVIDER,
    "restart": shapes.text,
    "scale": shapes.integer,
}
service = record("a service", SERVICE, keep=_KEPT, defaults={"command": None, "entrypoint": None})
"""A service, before what its surroundings say (networks, implied dependencies) is known."""

_SCHEDULE = record(
    "a schedule",
    {
        "cron": shapes.text,
        "timezone": shapes.text,
        "concurrency": shapes.one_of("forbid", "queue"),
        "missed_fires": shapes.one_of("one", "skip"),
    },
    required=("cron",),
)


def _schedule(node: Node, context: Context) -> dict[str, Any]:
    return _SCHEDULE(node, context) if isinstance(node, Mapping) else {"cron": shapes.text(node, context)}


_TRIGGERS = record("triggers", {"manual": shapes.boolean, "schedule": list_of(_schedule)}, keep=("manual",))


def triggers(node: Node, context: Context) -> dict[str, Any]:
    plain: dict[str, Any] = _TRIGGERS(node, context)
    if isinstance(node, Mapping) and not {"manual", "schedule"} & node.entries.keys():
        raise StackError("missing-key", "triggers needs `manual` or `schedule`", at=node.place)
    return plain


job = record(
    "a job",
    CONTAINER
    | WORKLOAD
    | {
        "profiles": shapes.unique_texts,
        "triggers": triggers,
    },
    keep=_KEPT | {"triggers"},
    required=("triggers",),
    defaults={"command": None, "entrypoint": None},
)
