"""`config`: the stack as it is meant, every template, variable and default resolved.

Options and lists are those of `docker compose config`; `--origins` is ours.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from stackfile.cli import files
from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context, expand
from stackfile.cli.output import table
from stackfile.errors import Place, UsageError
from stackfile.model.lock import LockedImage
from stackfile.model.stack import Stack

Plain = dict[str, Any]
_LISTS = {
    "services": "names of the services",
    "images": "images of the services",
    "volumes": "names of the volumes",
    "networks": "names of the networks",
    "models": "models of the services",
    "profiles": "names of the profiles",
}
_OF_ALL = frozenset({"services", "profiles"})
"""Lists in which SERVICE arguments mean nothing."""
_OF_DEPLOYMENT = frozenset({"build", "depends_on", "profiles", "pull_policy", "scale"})
"""Keys of a service that are no property of its containers: its hash is without them."""


def register() -> Verb:
    return Verb(
        name="config",
        summary="The stack with everything resolved; needs no engine but for digests",
        operands="[SERVICE…]",
        maximum=None,
        options=(
            option("--format", "yaml or json", "FORMAT", choices=("yaml", "json")),
            *(option(f"--{name}", text) for name, text in _LISTS.items()),
            option("--variables", "variables that the files ask for, and their defaults"),
            option("--environment", "variables that the files may use"),
            option("--origins", "where each value was written, and through which values it came"),
            option("--hash", "hash of the configuration of these services, * for all", "SERVICE[,…]"),
            option("--no-interpolate", "leave variables as they are written"),
            option("--no-normalize", "leave defaults and names out"),
            option("--no-path-resolution", "leave paths as they are written"),
            option("--no-consistency", "do not check what the parts say of each other"),
            option("--no-env-resolution", "leave env_file as it is written"),
            option("--resolve-image-digests", "the digest of every image, asked of its registry by the engine"),
            option("--lock-image-digests", "those alone, as a file that goes over the others"),
            option("-o --output", "write to a file", "FILE"),
            option("-q --quiet", "only check"),
        ),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    from stackfile import api

    if arguments.flag("variables"):
        _variables(context, arguments)
        return 0
    if arguments.flag("environment"):
        found = api.environment(context.load_options())
        _list(context, [f"{name}={found[name]}" for name in sorted(found)])
        return 0
    lists = [name for name in _LISTS if arguments.flag(name)]
    written = arguments.flag("no-interpolate")
    if written and arguments.positional and not lists:
        context.warn("with variables as they are written all services are shown, not only those named")
    every = written and not arguments.given("hash") and set(lists) <= _OF_ALL
    form = api.Form(
        interpolate=not written,
        every=every,
        normalize=not arguments.flag("no-normalize"),
        paths=not arguments.flag("no-path-resolution"),
        consistency=not arguments.flag("no-consistency"),
        env_files=not arguments.flag("no-env-resolution"),
        models=bool(lists) or _format(context, arguments) == "yaml",
        services=() if every or set(lists) & _OF_ALL else tuple(arguments.positional),
    )
    stack, plain = context.configuration(form)
    if lists:
        _list(context, [item for name in lists for item in _names(stack, plain, name)])
    elif arguments.flag("origins"):
        _origins(context, stack, arguments.positional)
    elif arguments.given("hash"):
        _hashes(context, plain, arguments.text("hash"))
    else:
        plain = _with_digests(context, arguments, stack, plain)
        if not arguments.flag("quiet"):
            _show(context, arguments, api.text_of(plain, _format(context, arguments)))
    return 0


def _with_digests(context: Context, arguments: Arguments, stack: Stack, plain: Plain) -> Plain:
    override = arguments.flag("lock-image-digests")
    if not override and not arguments.flag("resolve-image-digests"):
        return plain
    from stackfile.api import digests, relock

    def resolve(references: Mapping[str, Place | None]) -> Mapping[str, LockedImage]:
        return relock.Resolver(context.client(), context.environ, context.warn).resolve(references)

    plain = digests.with_digests(plain, stack, resolve)
    as_model = _format(context, arguments) == "json" and not arguments.flag("no-interpolate")
    return digests.override(plain, as_model) if override else plain


def _format(context: Context, arguments: Arguments) -> str:
    return "json" if context.console.json else arguments.text("format", "yaml")


def _show(context: Context, arguments: Arguments, text: str) -> None:
    path = arguments.text("output")
    if not path:
        context.console.print(text.rstrip("\n"))
        return
    files.write(os.path.join(context.directory, path), path, text)


def _names(stack: Stack, plain: Plain, what: str) -> list[str]:
    services: dict[str, Plain] = plain.get("services", {})
    if what == "images":
        return list(dict.fromkeys(_image(stack, name, service) for name, service in services.items()))
    if what == "profiles":
        return sorted({profile for service in services.values() for profile in service.get("profiles", ())})
    if what == "models":
        return [model["model"] for model in plain.get("models", {}).values()]
    return list(plain.get(what, ()))


def _image(stack: Stack, name: str, service: Plain) -> str:
    """The name of a service's image; of one that is built, the one it gets."""
    written: str = service.get("image", "")
    image = stack.images.get(written)
    if image is not None and image.tags:
        return image.tags[0]
    return written or f"{stack.name}-{name}"


def _origins(context: Context, stack: Stack, names: list[str]) -> None:
    from stackfile import api
    from stackfile.cli.output import origins

    found = origins.of(stack, expand(stack, names))
    if context.console.json:
        context.console.document({path: api.to_plain(origin) for path, origin in found.items()})
        return
    context.console.print(origins.render(found))


def _hashes(context: Context, plain: Plain, wanted: str) -> None:
    services: dict[str, Plain] = plain.get("services", {})
    names = sorted(services) if wanted == "*" else wanted.split(",")
    for name in names:
        if name not in services:
            raise UsageError("no-such-service", f"no such service: {name}")
    found = {name: _hash(services[name]) for name in names}
    if context.console.json:
        context.console.document(found)
        return
    for name, value in found.items():
        context.console.print(f"{name} {value}")


def _hash(service: Plain) -> str:
    counted = {key: value for key, value in service.items() if key not in _OF_DEPLOYMENT}
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()


def _variables(context: Context, arguments: Arguments) -> None:
    from stackfile import api

    found = api.variables(context.load_options())
    if _format(context, arguments) == "json":
        context.console.print(json.dumps({item.name: _as_compose(item) for item in found}, indent=4))
        return
    rows = [[item.name, str(item.required).lower(), item.default, item.alternate] for item in found]
    context.console.print(table.render(["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"], rows))


def _as_compose(item: Any) -> Plain:
    return {
        "Name": item.name,
        "DefaultValue": item.default,
        "PresenceValue": item.alternate,
        "Required": item.required,
    }


def _list(context: Context, names: list[str]) -> None:
    if context.console.json:
        context.console.document(names)
        return
    for name in names:
        context.console.print(name)
