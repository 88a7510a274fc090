"""What deserves a second look in a stack that is right: rules over the merged tree, before templates are evaluated.

A rule is one function: it yields the nodes' places and what to say. `# stackfile: ignore RULE…` on the line silences.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stackfile.errors import Place
from stackfile.language.nodes import Interpolated, Mapping, Node, Scalar, Sequence, Template, at_path
from stackfile.language.options import LoadOptions, Reader
from stackfile.language.scalars import whole

Said = Iterator[tuple[Place, str]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its id, `severity` (error, warning, note), why it matters and the way out."""

    id: str
    severity: str
    why: str
    fix: str
    find: Callable[[Mapping], Said]


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that applies somewhere."""

    rule: Rule
    message: str
    at: Place


RULES: dict[str, Rule] = {}
_IGNORE = re.compile(r"#\s*stackfile:\s*ignore\s+([\w\-, ]+)")
_VALUE = re.compile(r"""(?<![\w.'"])values\b(?:\.(\w+)|\[['"]([^'"]+)['"]\])?""")
_ELSEWHERE = re.compile(r"{%-?\s*(include|import|from)\b")
_SECRET = re.compile(r"(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|CREDENTIALS?)$", re.IGNORECASE)
_DATABASES = frozenset({1433, 1521, 2379, 3306, 5432, 5984, 6379, 9042, 9200, 11211, 27017})
_SENSITIVE = ("/boot", "/dev", "/etc", "/proc", "/root", "/sys", "/usr", "/var/lib", "/var/run", "/run")


def rule(
    name: str, severity: str, why: str, fix: str
) -> Callable[[Callable[[Mapping], Said]], Callable[[Mapping], Said]]:
    """Registers a function as a rule."""

    def register(find: Callable[[Mapping], Said]) -> Callable[[Mapping], Said]:
        RULES[name] = Rule(name, severity, why, fix, find)
        return find

    return register


def lint(tree: Mapping, ignored: frozenset[str] = frozenset()) -> list[Finding]:
    """The findings of all rules but the ignored, in the order of their places."""
    found = [
        Finding(each, message, at)
        for each in RULES.values()
        if each.id not in ignored
        for at, message in each.find(tree)
    ]
    return sorted(found, key=lambda finding: (finding.at.file, finding.at.line, finding.at.column, finding.rule.id))


def unsilenced(findings: list[Finding], options: LoadOptions, reader: Reader) -> list[Finding]:
    """Those whose line has no comment that ignores their rule."""
    lines: dict[str, list[str]] = {}
    result = []
    for finding in findings:
        file = finding.at.file
        if file not in lines:
            try:
                data = reader.read(file if file == "-" else os.path.join(options.directory, file))
            except OSError:
                data = b""
            lines[file] = data.decode("utf-8-sig", "replace").split("\n")
        text = lines[file][finding.at.line - 1] if 0 < finding.at.line <= len(lines[file]) else ""
        comment = _IGNORE.search(text)
        if comment is None or finding.rule.id not in re.split(r"[,\s]+", comment[1]):
            result.append(finding)
    return result


def _placed(tree: Mapping) -> Iterator[tuple[Place, str, Mapping]]:
    """(place of the name, name, keys) of the services."""
    services = tree.get("services")
    if isinstance(services, Mapping):
        for name, service in services.entries.items():
            if isinstance(service, Mapping):
                yield services.keys[name].place, name, service


def _services(tree: Mapping) -> Iterator[tuple[str, Mapping]]:
    return ((name, service) for _, name, service in _placed(tree))


def _text(node: Node | None) -> str | None:
    """The text of a literal; None for a template, a variable's value counts."""
    return str(node.value) if isinstance(node, Scalar) and node.value is not None else None


def _items(service: Mapping, key: str) -> list[Node]:
    node = service.get(key)
    return node.items if isinstance(node, Sequence) else []


def _mounts(service: Mapping) -> Iterator[tuple[Place, str, bool]]:
    """(place, host path, writable) of the bind mounts."""
    for item in _items(service, "volumes"):
        if isinstance(item, Mapping):
            source, kind = _text(item.get("source")), _text(item.get("type"))
            if source and kind == "bind":
                yield item.place, source, _text(item.get("read_only")) != "True"
        elif (text := _text(item)) and text.startswith(("/", ".", "~")) and ":" in text:
            source, _, rest = text.partition(":")
            yield item.place, source, "ro" not in rest.partition(":")[2].split(",")


@rule("unpinned-image", "warning", "another image may come under the same name tomorrow", "name a version or a digest")
def _unpinned(tree: Mapping) -> Said:
    own = tree.get("images")
    known = own.entries if isinstance(own, Mapping) else {}
    for name, service in _services(tree):
        node = service.get("image")
        image = _text(node)
        if node is None or not image or image in known or "build" in service.entries or "@" in image:
            continue
        tag = image.rpartition("/")[2].partition(":")[2]
        if tag in ("", "latest"):
            yield node.place, f"{name}: image {image} names no version"


@rule("privileged", "error", "the container can do what root of the machine can", "name single capabilities or devices")
def _privileged(tree: Mapping) -> Said:
    for name, service in _services(tree):
        node = service.get("privileged")
        if isinstance(node, Scalar) and node.value is True:
            yield node.place, f"{name} is privileged"


@rule(
    "engine-socket", "error", "who reaches the socket is root of the machine", "leave it out, or put a proxy before it"
)
def _socket(tree: Mapping) -> Said:
    for name, service in _services(tree):
        for place, source, _ in _mounts(service):
            if os.path.basename(source) in ("docker.sock", "stackfile.sock", "containerd.sock", "podman.sock"):
                yield place, f"{name} mounts {source}"


@rule(
    "secret-in-environment", "warning", "everyone who reads the file or inspects the container sees it", "use secrets:"
)
def _secrets(tree: Mapping) -> Said:
    for name, service in _services(tree):
        environment = service.get("environment")
        if isinstance(environment, Mapping):
            pairs = [(key, _literal(node), node.place) for key, node in environment.entries.items()]
        else:
            texts = [(_literal(item), item.place) for item in _items(service, "environment")]
            pairs = [(key, value, at) for text, at in texts for key, _, value in [text.partition("=")]]
        for key, value, place in pairs:
            if value and _SECRET.search(key):
                yield place, f"{name}: {key} is written in the file"


def _literal(node: Node) -> str:
    """What stands in the file itself: nothing of a template or a variable, nor of its default."""
    if isinstance(node, Interpolated) or not isinstance(node, Scalar):
        return ""
    return node.text if isinstance(node.value, str | int) else ""


@rule("published-database", "warning", "the database can be reached from everywhere", "publish it to 127.0.0.1, or not")
def _published(tree: Mapping) -> Said:
    for name, service in _services(tree):
        for item in _items(service, "ports"):
            if isinstance(item, Mapping):
                target, address = _text(item.get("target")) or "", _text(item.get("host_ip")) or ""
            else:
                front, _, target = (_text(item) or "").partition("/")[0].rpartition(":")
                address = front.rpartition(":")[0]
            if whole(target) in _DATABASES and address in ("", "0.0.0.0", "[::]", "::"):
                yield item.place, f"{name} publishes port {target} to all addresses"


@rule("no-health-check", "note", "nothing says when the service is ready, or no longer", "write a healthcheck:")
def _health(tree: Mapping) -> Said:
    for place, name, service in _placed(tree):
        own = "healthcheck" in service.entries or _checked_image(tree, _text(service.get("image")))
        if "ports" in service.entries and not own:
            yield place, f"{name} is published and has no health check"


def _checked_image(tree: Mapping, name: str | None) -> bool:
    """Whether an image of the stack, or one that it is made from, brings a health check."""
    images, seen = tree.get("images"), set[str]()
    while isinstance(images, Mapping) and name is not None and name not in seen:
        seen.add(name)
        image = images.get(name)
        if not isinstance(image, Mapping):
            return False
        if any(isinstance(step, Mapping) and "healthcheck" in step.entries for step in _items(image, "steps")):
            return True
        name = _text(image.get("from"))
    return False


@rule("host-namespace", "warning", "the container is not apart from the machine", "leave the key out")
def _host(tree: Mapping) -> Said:
    for name, service in _services(tree):
        for key in ("network_mode", "pid", "ipc"):
            node = service.get(key)
            if node is not None and _text(node) == "host":
                yield node.place, f"{name}: {key} is the machine's"


@rule("mighty-capability", "error", "the capability is as good as all of root", "add the single one that is needed")
def _capabilities(tree: Mapping) -> Said:
    for name, service in _services(tree):
        for item in _items(service, "cap_add"):
            if (_text(item) or "").upper().removeprefix("CAP_") in ("ALL", "SYS_ADMIN"):
                yield item.place, f"{name} gets {_text(item)}"


@rule("writable-system-path", "error", "the container can change the machine itself", "mount it read-only")
def _paths(tree: Mapping) -> Said:
    for name, service in _services(tree):
        for place, source, writable in _mounts(service):
            sensitive = source == "/" or any(source == path or source.startswith(path + "/") for path in _SENSITIVE)
            if writable and sensitive and not source.endswith(".sock"):
                yield place, f"{name} can write to {source}"


@rule("obsolete-version", "note", "nobody reads the key", "remove it")
def _version(tree: Mapping) -> Said:
    if "version" in tree.entries:
        yield tree.keys["version"].place, "`version` has no meaning any more"


@rule("no-restart-policy", "note", "a service that ends stays ended", "write restart: unless-stopped")
def _restart(tree: Mapping) -> Said:
    for place, name, service in _placed(tree):
        deploy = service.get("deploy")
        deployed = isinstance(deploy, Mapping) and "restart_policy" in deploy.entries
        if "restart" not in service.entries and not deployed:
            yield place, f"{name} has no restart policy"


@rule("no-memory-limit", "note", "one service can take all memory of the machine", "write mem_limit:")
def _memory(tree: Mapping) -> Said:
    for place, name, service in _placed(tree):
        limits = at_path(service, ("deploy", "resources", "limits"))
        limited = isinstance(limits, Mapping) and "memory" in limits.entries
        if "mem_limit" not in service.entries and not limited:
            yield place, f"{name} has no memory limit"


@rule("unhealthy-dependency", "note", "the service starts before what it needs is ready", "condition: service_healthy")
def _dependency(tree: Mapping) -> Said:
    checked = {name for name, service in _services(tree) if "healthcheck" in service.entries}
    for name, service in _services(tree):
        for item in _items(service, "depends_on"):
            if _text(item) in checked:
                yield item.place, f"{name} does not wait until {_text(item)} is healthy"


@rule("unused", "note", "what nobody uses misleads who reads", "remove it, or name it in a service")
def _unused(tree: Mapping) -> Said:
    sections = ("networks", "volumes", "secrets", "configs")
    users: list[Node] = []
    for key, node in tree.entries.items():
        # What is declared is no mention of itself; what it is made of may be one of others.
        users += node.entries.values() if key in sections and isinstance(node, Mapping) else [node]
    # Any mention elsewhere counts, in a template too: better to say nothing than something wrong.
    words = set(re.findall(r"[\w.-]+", " ".join(text for node in users for text in _mentions(node))))
    for section in sections:
        declared = tree.get(section)
        if not isinstance(declared, Mapping):
            continue
        for name in declared.entries:
            member = f"{name}-"  # of a `for_each`, as in "{{ 'name-' ~ each.key }}"
            used = name in words or any(word.startswith(member) for word in words)
            if name != "default" and not used and not declared.keys[name].template:
                yield declared.keys[name].place, f"nobody uses {section}.{name}"


@rule("unused-value", "note", "it can be set, and nothing changes", "remove it, or use it in a template")
def _unused_values(tree: Mapping) -> Said:
    declared = tree.get("values")
    texts = list(_templates(tree))
    # Files that are templates too, or values by a name that is made up: better to say nothing than something wrong.
    elsewhere = any(_ELSEWHERE.search(text) for text in texts) or any(
        isinstance(node, Mapping) and "template_driver" in node.entries for node in _nodes(tree)
    )
    used = [match for text in texts for match in _VALUE.findall(text)]
    if not isinstance(declared, Mapping) or elsewhere or any(not (name or quoted) for name, quoted in used):
        return
    names = {name or quoted for name, quoted in used}
    for name, key in declared.keys.items():
        if name not in names:
            yield key.place, f"no template uses values.{name}"


def _templates(tree: Node) -> Iterator[str]:
    """The texts of all templates, keys among them."""
    for node in _nodes(tree):
        if isinstance(node, Template):
            yield node.text
        elif isinstance(node, Mapping):
            yield from (key for key, mark in node.keys.items() if mark.template)


def _nodes(tree: Node) -> Iterator[Node]:
    yield tree
    if isinstance(tree, Mapping | Sequence):
        for child in tree.entries.values() if isinstance(tree, Mapping) else tree.items:
            yield from _nodes(child)


def _mentions(tree: Node) -> Iterator[str]:
    """All texts of a tree, keys and values."""
    for node in _nodes(tree):
        if isinstance(node, Mapping):
            yield from node.entries
        elif not isinstance(node, Sequence):
            yield node.text
