"""`build:` of services and images: a Dockerfile and its context (Compose build specification)."""

from __future__ import annotations

from collections.abc import Collection

from stackfile.errors import StackError
from stackfile.language.merge import pairs_to_mapping
from stackfile.language.nodes import Mapping, Node, Scalar
from stackfile.language.normalise.basic import (
    NO_TEXTS,
    any_text,
    boolean,
    file_mode,
    hosts,
    if_filled,
    items,
    name,
    pairs,
    text,
    texts,
)
from stackfile.language.normalise.context import Context, Fields, as_mapping, not_a
from stackfile.model.stack import Build, ImageResource

IGNORED = {
    "entitlements": "build steps have no more rights than containers",
    "isolation": "of Windows containers",
    "no_cache_filter": "`no_cache` is of all stages",
    "platforms": "images are made for the engine's own platform",
    "privileged": "build steps have no more rights than containers",
    "ssh": "build steps have no agent",
    "cache_from": "the engine keeps its own cache",
    "cache_to": "the engine keeps its own cache",
    "provenance": "the engine makes no attestations",
    "pull": "an image that is here is not fetched again: pull it",
    "sbom": "the engine makes no attestations",
    "shm_size": "build steps have 64 MB",
    "ulimits": "build steps have the engine's limits",
}
_DEFAULT_FILE = "Dockerfile"
_REMOTE = ("https://", "http://", "git://", "ssh://", "git@", "github.com/", "service:")
_NETWORKS = ("", "default", "none", "host")


def parse(node: Node, context: Context, owner: str) -> tuple[Build, tuple[str, ...]]:
    """The build of `owner` (an address), and more names for its image. Mistakes are reported to the context."""
    if isinstance(node, Scalar):
        directory = _directory(node, context)
        return Build(context=directory, file=f"{directory}/{_DEFAULT_FILE}"), ()
    fields = Fields(as_mapping(node), context, f"build of {owner}")
    directory = fields.take("context", lambda child: _directory(child, context), context.path(".", node.place))
    inline = fields.take("dockerfile_inline", text, "")
    dockerfile = fields.take("dockerfile", if_filled(text, _DEFAULT_FILE), _DEFAULT_FILE)
    if inline and "dockerfile" in fields.tree.entries:
        message = "`dockerfile` and `dockerfile_inline` say two things"
        context.report(StackError("bad-value", message, at=fields.tree.keys["dockerfile_inline"].place))
    tags = fields.take("tags", texts, NO_TEXTS)
    build = Build(
        context=directory,
        dockerfile="dockerfile_inline" if inline else dockerfile,
        file="" if inline else dockerfile if dockerfile.startswith("/") else f"{directory}/{dockerfile}",
        text=inline,
        target=fields.take("target", text, ""),
        args=fields.take("args", lambda child: _arguments(child, context), {}),
        labels=fields.take("labels", pairs, {}),
        network=fields.take("network", _network, ""),
        extra_hosts=fields.take("extra_hosts", hosts, ()),
        contexts=fields.take("additional_contexts", lambda child: _contexts(child, context, owner), {}),
        secrets=fields.take("secrets", lambda child: _secrets(child, context, owner), {}),
        no_cache=fields.take("no_cache", boolean, False),
    )
    fields.ignore(owner, IGNORED, "build/", form="build")
    fields.finish()
    return build, tags


def of_service(fields: Fields, context: Context, service: str, image: str) -> str:
    """The key of the image that a service's `build:` makes; `image` where there is none.

    Its first name is the service's `image`, else `<project>-<service>` as Compose has it.
    """
    node = fields.node("build")
    if node is None:
        return image
    found = fields.guard(lambda: parse(node, context, f"service.{service}"), node, None)
    if found is None:
        return image
    build, tags = found
    key = key_of(service, context.images)
    names = (image or f"{context.project}-{service.lower()}", *tags)
    context.built[key] = ImageResource(name=key, build=build, service=service, tags=tagged(names))
    origin = context.origins.get(f"service.{service}/build") or context.origins.get(f"service.{service}")
    if origin is not None:
        context.origins[f"image.{key}"] = origin
    return key


def key_of(service: str, images: Collection[str]) -> str:
    """What the image of a service is called among the stack's images."""
    return f"{service}.build" if service in images else service


def tagged(references: Collection[str]) -> tuple[str, ...]:
    """References with their tags."""
    return tuple(dict.fromkeys(
        item if ":" in item.rpartition("/")[2] or "@" in item else f"{item}:latest" for item in references
    ))  # fmt: skip


def _directory(node: Node, context: Context) -> str:
    value = name(node)
    if value.startswith(_REMOTE) or value.endswith(".git"):
        if not context.contents:
            return value
        raise StackError("unsupported-key", "a build context by URL is not supported yet", at=node.place,
                         hint="clone it, and name the directory")  # fmt: skip
    return context.path(value, node.place)


def _network(node: Node) -> str:
    value = text(node)
    if value not in _NETWORKS:
        raise StackError("bad-value", f"no network {value!r} for a build", at=node.place, hint="default, none, host")
    return "" if value == "default" else value


def _arguments(node: Node, context: Context) -> dict[str, str]:
    """Build arguments. One without a value is taken from the caller's environment, or left out."""
    node = pairs_to_mapping(node, "=")
    if not isinstance(node, Mapping):
        return not_a(node, "a mapping or a list")
    result: dict[str, str] = {}
    for key, child in node.entries.items():
        empty = type(child) is Scalar and child.value is None
        value = context.variables_at(child.place).get(key) if empty else any_text(child)
        if value is not None:
            result[key] = value
    return result


def _contexts(node: Node, context: Context, owner: str) -> dict[str, str]:
    result: dict[str, str] = {}
    node = pairs_to_mapping(node, "=")
    for key, child in as_mapping(node).entries.items():
        value = name(child)
        kind, _, rest = value.partition(":")
        if kind == "service":
            context.refer(owner, "service", rest, child.place)
            result[key] = value
        elif value in context.images:
            result[key] = f"image:{value}"
        elif value.startswith("docker-image://"):
            result[key] = value
        elif value.startswith("oci-layout://") and context.contents:
            raise StackError("unsupported-key", "a layout as context is not supported yet", at=child.place)
        else:
            result[key] = _directory(child, context)
    return result


def _secrets(node: Node, context: Context, owner: str) -> dict[str, str]:
    """Id in the Dockerfile → secret of the stack."""
    result: dict[str, str] = {}
    for item in items(node):
        source, target = "", ""
        if isinstance(item, Mapping):
            fields = Fields(item, context, "secret")
            source = fields.require("source", name, "")
            target = fields.take("target", text, "")
            fields.take("uid", text, "")  # these the Dockerfile says itself (`--mount=type=secret,uid=…`)
            fields.take("gid", text, "")
            fields.take("mode", file_mode, 0)
            fields.finish()
        else:
            source = name(item)
        context.refer(owner, "secret", source, item.place)
        result[target.rpartition("/")[2] or source] = source
    return result
