"""Environment of a service: env files, then `environment`."""

from __future__ import annotations

from stackfile.errors import StackError
from stackfile.language.document import read_bytes
from stackfile.language.merge import pairs_to_mapping
from stackfile.language.nodes import Broken, Mapping, Node, Scalar, Sequence
from stackfile.language.normalise.basic import any_text, boolean, name, text
from stackfile.language.normalise.context import Context, Fields, not_a
from stackfile.language.normalise.files import secret_value
from stackfile.language.variables import parse_env_file
from stackfile.model.stack import Origin, SecretRef

Environment = dict[str, str | SecretRef | None]


def parse(fields: Fields, context: Context, owner: str) -> Environment:
    """What a service's processes see. Raises nothing: mistakes are reported."""
    nothing: Environment = {}
    own = fields.take("environment", lambda node: _mapping(node, context, owner), nothing)
    paths = [f"{owner}/environment/{key}" for key in own]
    places = {path: context.origins[path] for path in paths if path in context.origins}
    files = fields.take("env_file", lambda node: _files(node, context, owner), nothing)
    context.origins.update(places)
    return {**files, **own}


def _mapping(node: Node, context: Context, owner: str) -> Environment:
    node = pairs_to_mapping(node, "=")
    if not isinstance(node, Mapping):
        return not_a(node, "a mapping or a list")
    result: Environment = {}
    reader = Fields(node, context, "environment")
    for key, child in node.entries.items():
        if not key or "=" in key or "\0" in key:
            error = StackError("bad-value", f"{key!r} is no name of a variable", at=node.keys[key].place)
            context.report(error)
            continue
        reader.guard(lambda key=key, child=child: _put(result, key, child, context, owner), child, None)  # type: ignore[misc]
    return result


def _put(result: Environment, key: str, node: Node, context: Context, owner: str) -> None:
    if isinstance(node, Scalar) and not isinstance(node, Broken) and node.value is None:
        # As Compose: taken from the caller's environment; passed through from the image where it is not set.
        result[key] = context.variables_at(node.place).get(key)
        return
    secret = secret_value(node)
    if secret is None:
        result[key] = any_text(node)
        return
    result[key] = SecretRef(secret)
    context.refer(owner, "secret", secret, node.place)


def _files(node: Node, context: Context, owner: str) -> Environment:
    result: Environment = {}
    if not isinstance(node, Scalar | Sequence):
        return not_a(node, "text or a list")
    for item in node.items if isinstance(node, Sequence) else [node]:
        result.update(_file(item, context, owner))
    return result


def _file(node: Node, context: Context, owner: str) -> Environment:
    required, raw, path = True, False, ""
    if isinstance(node, Mapping):
        fields = Fields(node, context, "env_file")
        path = fields.require("path", name, "")
        required = fields.take("required", boolean, True)
        raw = fields.take("format", _format, "") == "raw"
        fields.finish()
    else:
        path = name(node)
    full = context.path(path, node.place)
    if not path or (not required and not context.reader.exists(full)):
        return {}
    content = read_bytes(full, path, context.reader, node.place).decode("utf-8", "replace")
    if raw:
        return _raw(content)
    result: Environment = {}
    variables = context.variables_at(node.place)
    for key, variable in parse_env_file(content, path, variables).items():
        if variable is not None:
            result[key] = variable.value
            context.origins[f"{owner}/environment/{key}"] = Origin(variable.at)
        elif key in variables:
            result[key] = variables[key]
    return result


def label_files(node: Node, context: Context) -> dict[str, str]:
    """Labels of files in the format of env files. Raises StackError."""
    result: dict[str, str] = {}
    for item in node.items if isinstance(node, Sequence) else [node]:
        path = name(item)
        content = read_bytes(context.path(path, item.place), path, context.reader, item.place)
        found = parse_env_file(content.decode("utf-8", "replace"), path, context.variables_at(item.place))
        result.update({key: variable.value for key, variable in found.items() if variable is not None})
    return result


def _raw(content: str) -> Environment:
    """`format: raw`: lines of NAME=value, taken as they are."""
    lines = (line for line in content.splitlines() if line and not line.lstrip().startswith("#"))
    return {key: value for key, separator, value in (line.partition("=") for line in lines) if separator}


def _format(node: Node) -> str:
    if text(node) != "raw":
        raise StackError("bad-value", f"no format {text(node)!r}", at=node.place, hint="raw")
    return "raw"
