"""Phase 4: merging trees by Compose's rules.

Mappings merge key by key, lists append, scalars replace; the exceptions stand in the tables below. `!reset` takes a key
away, `!override` replaces instead of merging. A list whose items have an identity (ports, volumes, …) keeps the last of
each.
"""

from __future__ import annotations

from collections.abc import Callable

from stackfile.errors import ErrorCollector, StackError
from stackfile.language.nodes import Broken, Interpolated, Key, Mapping, Node, Scalar, Sequence, Template, kind_of

Path = tuple[str, ...]

RESET = "!reset"
OVERRIDE = "!override"

REPLACED = frozenset({"command", "entrypoint", "healthcheck.test"})
"""Keys of a service whose lists replace each other."""

PAIRS = {
    "environment": "=", "labels": "=", "annotations": "=", "sysctls": "=",
    "deploy.labels": "=", "build.args": "=", "build.labels": "=", "build.additional_contexts": "=",
}  # fmt: skip
"""Keys of a service that are a mapping or a list of `key<separator>value`."""

REFERENCES = frozenset({"depends_on", "networks"})
"""Keys of a service that are a list of names or a mapping."""

LISTS = frozenset({"dns", "dns_search", "dns_opt", "tmpfs", "env_file", "profiles", "label_file", "extra_hosts"})
"""Keys of a service that are one text or a list of them."""


def merge(base: Node, over: Node, path: Path = (), errors: ErrorCollector | None = None) -> Node:
    """`over` merged over `base`.

    Where their kinds do not fit (merge-conflict), a mapping keeps what `base` has and the mistake goes to `errors`;
    without `errors` it is raised as StackError.
    """
    if over.tag == OVERRIDE:
        return _settled(over, path)
    rule = _rule(path)
    if rule is not None:
        base, over = rule(base, over)
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return _merge_mappings(base, over, path, errors)
    if isinstance(base, Sequence) and isinstance(over, Sequence):
        return over if _replaces(path) else _merge_sequences(base, over, path)
    if _is_null(over) and isinstance(base, Mapping | Sequence):
        return base
    if (
        over.tag == RESET
        or isinstance(base, Scalar | Template)
        or isinstance(over, Template)
        or _is_null(base)
        or _replaces(path)
    ):
        return _settled(over, path)
    raise StackError(
        "merge-conflict",
        f"{'.'.join(path)}: {kind_of(over)} cannot override {kind_of(base)}",
        at=over.place,
        cause=f"the other is at {base.place}",
        stack=[base.place],
        hint="`!override` before the value replaces instead of merging",
    )


def without_repetition(service: Mapping) -> Mapping:
    """A service in whose lists the last of each identity counts, also where nothing was merged."""
    entries = dict(service.entries)
    for key, indexer in _INDEXERS.items():
        node = entries.get(key)
        if isinstance(node, Sequence) and len(node.items) > 1:
            entries[key] = Sequence(_unique(node.items, indexer), node.place, node.tag)
    return Mapping(entries, service.keys, service.place, service.tag)


def document(tree: Mapping) -> Mapping:
    """A whole file without marks, but for those of its environments: they count when one is laid over the rest."""
    entries = {
        key: child if key == "environments" else clean(child)
        for key, child in tree.entries.items()
        if child.tag != RESET
    }
    return Mapping(entries, {key: tree.keys[key] for key in entries}, tree.place)


def _in_environment(path: Path) -> bool:
    return len(path) > 1 and path[0] == "environments"


def _settled(node: Node, path: Path) -> Node:
    """`node` without marks where nothing is merged over it later."""
    return node if _in_environment(path) else clean(node)


def clean(node: Node) -> Node:
    """`node` without `!reset` keys and without `!override` marks."""
    if isinstance(node, Mapping):
        entries = {key: clean(child) for key, child in node.entries.items() if child.tag != RESET}
        kept = node.tag != OVERRIDE and len(entries) == len(node.entries)
        if kept and all(entries[key] is child for key, child in node.entries.items()):
            return node
        return Mapping(entries, {key: node.keys[key] for key in entries}, node.place)
    if isinstance(node, Sequence):
        items = [clean(item) for item in node.items if item.tag != RESET]
        if node.tag != OVERRIDE and len(items) == len(node.items) and all(map(_same, items, node.items)):
            return node
        return Sequence(items, node.place)
    return node


def _same(left: Node, right: Node) -> bool:
    return left is right


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def _merge_mappings(base: Mapping, over: Mapping, path: Path, errors: ErrorCollector | None) -> Mapping:
    entries, keys = dict(base.entries), dict(base.keys)
    for key, child in over.entries.items():
        if child.tag == RESET and not _in_environment(path):
            entries.pop(key, None)
            keys.pop(key, None)
        elif key in entries:
            entries[key] = merged = _merged_entry(entries[key], child, (*path, key), errors)
            keys[key] = over.keys[key] if merged is child else keys[key]
        else:
            entries[key], keys[key] = _settled(child, path), over.keys[key]
    return Mapping(entries, keys, base.place)


def _merged_entry(base: Node, over: Node, path: Path, errors: ErrorCollector | None) -> Node:
    try:
        return merge(base, over, path, errors)
    except StackError as error:
        if errors is None:
            raise
        errors.add(error)
        return base


def _merge_sequences(base: Sequence, over: Sequence, path: Path) -> Sequence:
    if _inner(path)[:1] == ("networks",) and _inner(path)[2:] == ("ipam", "config"):
        return _merge_subnets(base, over, path)
    items = base.items + [_settled(item, path) for item in over.items if item.tag != RESET]
    indexer = _INDEXERS.get(_service_key(path))
    return Sequence(_unique(items, indexer) if indexer else items, over.place)


def _merge_subnets(base: Sequence, over: Sequence, path: Path) -> Sequence:
    """The subnets of `over`, each merged over that of `base` with the same `subnet`; the others go."""
    known = {_field(item, "subnet"): item for item in base.items if isinstance(item, Mapping)}
    items = [
        merge(known[subnet], item, (*path, ""))
        if isinstance(item, Mapping) and (subnet := _field(item, "subnet")) in known
        else _settled(item, path)
        for item in over.items
        if item.tag != RESET
    ]
    return Sequence(items, over.place)


def _unique(items: list[Node], indexer: Callable[[Node], str | None]) -> list[Node]:
    """The last of each identity, at the place of the first; items without identity all stay."""
    result: list[Node] = []
    positions: dict[str, int] = {}
    for item in items:
        identity = indexer(item)
        if identity is not None and identity in positions:
            result[positions[identity]] = item
            continue
        if identity is not None:
            positions[identity] = len(result)
        result.append(item)
    return result


# ---------------------------------------------------------------- rules by path


def _service_key(path: Path) -> str:
    """`environment` for `services.web.environment`, also inside an environment of the stack."""
    path = _inner(path)
    return ".".join(path[2:]) if path[:1] == ("services",) else ""


def _inner(path: Path) -> Path:
    """A path in the stack, also of what is inside an environment."""
    return path[2:] if path[:1] == ("environments",) else path


def _replaces(path: Path) -> bool:
    return _inner(path)[:1] in (("values",), ("values_schema",)) or _service_key(path) in REPLACED


Rule = Callable[[Node, Node], tuple[Node, Node]]


def _rule(path: Path) -> Rule | None:
    key = _service_key(path)
    if key in PAIRS:
        return lambda base, over: (pairs_to_mapping(base, PAIRS[key]), pairs_to_mapping(over, PAIRS[key]))
    if not key and _inner(path)[2:] == ("labels",):
        return lambda base, over: (pairs_to_mapping(base, "="), pairs_to_mapping(over, "="))
    if key in ("extra_hosts", "build.extra_hosts"):
        return lambda base, over: (hosts_to_list(base), hosts_to_list(over))
    if key == "build":
        return lambda base, over: (_long_build(base), _long_build(over))
    if key.startswith("ulimits."):
        return _ulimit
    if key == "gpus":
        return lambda base, over: (_gpus_list(base), _gpus_list(over))
    if key in REFERENCES:
        return lambda base, over: (names_to_mapping(base, key), names_to_mapping(over, key))
    if key in LISTS:
        return lambda base, over: (one_to_list(base), one_to_list(over))
    if key == "logging":
        return _logging
    return None


def _ulimit(base: Node, over: Node) -> tuple[Node, Node]:
    """A number and a mapping of soft and hard replace each other."""
    return (base, over) if isinstance(base, Mapping) and isinstance(over, Mapping) else (over, over)


def _logging(base: Node, over: Node) -> tuple[Node, Node]:
    """Options of another driver mean nothing: the new logging replaces the old."""
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        old, new = base.get("driver"), over.get("driver")
        if isinstance(old, Scalar) and isinstance(new, Scalar) and old.value != new.value:
            return over, over
    return base, over


def pairs_to_mapping(node: Node, separators: str) -> Node:
    """A list of `key=value` as a mapping; `key` alone has the value null."""
    if not isinstance(node, Sequence):
        return node
    entries: dict[str, Node] = {}
    keys: dict[str, Key] = {}
    for item in node.items:
        if isinstance(item, Broken):
            continue
        text = _item(item, "text")
        cut = min((found for mark in separators if (found := text.find(mark)) >= 0), default=-1)
        key, value = (text, None) if cut < 0 else (text[:cut], text[cut + 1 :])
        keys[key] = Key(item.place, isinstance(item, Template) and "{{" in key)
        if isinstance(item, Template) and value is not None and "{" in value:
            entries[key] = Template(value, item.place)
        else:
            via = item.via if isinstance(item, Scalar) else ()
            made = Interpolated if isinstance(item, Interpolated) and value is not None else Scalar
            entries[key] = made(value, value or "", item.place, via=via)
    return Mapping(entries, keys, node.place, node.tag)


def names_to_mapping(node: Node, key: str) -> Node:
    """A list of names as a mapping to nothing (`depends_on`: to the plain condition)."""
    if not isinstance(node, Sequence):
        return node
    entries: dict[str, Node] = {}
    keys: dict[str, Key] = {}
    for item in node.items:
        if isinstance(item, Broken):
            continue
        text = _item(item, "a name")
        keys[text] = Key(item.place, isinstance(item, Template))
        if key == "depends_on":
            condition = Scalar("service_started", "service_started", item.place)
            entries[text] = Mapping({"condition": condition}, {"condition": Key(item.place)}, item.place)
        else:
            entries[text] = Scalar(None, "", item.place)
    return Mapping(entries, keys, node.place, node.tag)


def _item(item: Node, wanted: str) -> str:
    """The text of an item, or of its template. Raises StackError (bad-type)."""
    if isinstance(item, Template) or (isinstance(item, Scalar) and isinstance(item.value, str)):
        return item.text
    raise StackError("bad-type", f"an item must be {wanted}, not {kind_of(item)}", at=item.place)


def hosts_to_list(node: Node) -> Node:
    """extra_hosts as a list of `name=address`: a name may have several addresses."""
    if not isinstance(node, Mapping):
        return one_to_list(node)
    items: list[Node] = []
    for key, child in node.entries.items():
        for address in child.items if isinstance(child, Sequence) else [child]:
            if isinstance(address, Template) or node.keys[key].template:
                return node  # they are merged as mappings
            text = f"{key}={address.text if isinstance(address, Scalar) else ''}"
            items.append(Scalar(text, text, address.place))
    return Sequence(items, node.place, node.tag)


def _long_build(node: Node) -> Node:
    """A build that is only its context, in the long form; the other side may say more."""
    if not isinstance(node, Scalar | Template) or _is_null(node):
        return node
    return Mapping({"context": node}, {"context": Key(node.place)}, node.place, node.tag)


def _gpus_list(node: Node) -> Node:
    """`all` as the list that it stands for."""
    if not isinstance(node, Scalar) or node.value != "all":
        return node
    item = Mapping({"count": node}, {"count": Key(node.place)}, node.place)
    return Sequence([item], node.place, node.tag)


def one_to_list(node: Node) -> Node:
    if isinstance(node, Mapping | Sequence) or _is_null(node):
        return node
    return Sequence([node], node.place, node.tag)


# ---------------------------------------------------------------- identities of list items


def _text(node: Node) -> str | None:
    return node.text if isinstance(node, Scalar | Template) else None


def _field(node: Mapping, key: str, default: str = "") -> str:
    child = node.get(key)
    return child.text if isinstance(child, Scalar | Template) else default


def _port(node: Node) -> str | None:
    if not isinstance(node, Mapping):
        return _text(node)
    parts = (_field(node, name) for name in ("host_ip", "published", "target"))
    return ":".join(parts) + "/" + _field(node, "protocol", "tcp")


def _volume(node: Node) -> str | None:
    if isinstance(node, Mapping):
        return _field(node, "target") or None
    text = _text(node) or ""
    parts = text.split(":")
    return parts[1] if len(parts) > 1 else text


def _device(node: Node) -> str | None:
    """By target, as Compose."""
    if isinstance(node, Mapping):
        return _field(node, "target") or _field(node, "source")
    parts = (_text(node) or "").split(":")
    return parts[1] if len(parts) > 1 else parts[0]


def _group(node: Node) -> str | None:
    """A number and the same digits as text are two for Compose."""
    return f"{type(node.value).__name__} {node.text}" if isinstance(node, Scalar) else _text(node)


def _file(prefix: str) -> Callable[[Node], str | None]:
    def index(node: Node) -> str | None:
        if isinstance(node, Mapping):
            return _field(node, "target") or f"{prefix}/{_field(node, 'source')}"
        return f"{prefix}/{_text(node)}"

    return index


def _env_file(node: Node) -> str | None:
    return _field(node, "path") if isinstance(node, Mapping) else _text(node)


_INDEXERS: dict[str, Callable[[Node], str | None]] = {
    "ports": _port,
    "volumes": _volume,
    "configs": _file(""),
    "secrets": _file("/run/secrets"),
    "env_file": _env_file,
    **dict.fromkeys(
        (
            "cap_add",
            "cap_drop",
            "build.platforms",
            "dns",
            "dns_search",
            "dns_opt",
            "expose",
            "tmpfs",
            "profiles",
            "security_opt",
            "device_cgroup_rules",
            "volumes_from",
            "links",
            "external_links",
            "label_file",
        ),
        _text,
    ),
    "devices": _device,
    "group_add": _group,
    "extra_hosts": _text,
}
