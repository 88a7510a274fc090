"""`RUN --mount=type=…,target=…` (Dockerfile reference, RUN --mount)."""

from __future__ import annotations

from collections.abc import Mapping

from stackfile.errors import StackError
from stackfile.language import units
from stackfile.language.dockerfile.source import Instruction
from stackfile.model.stack import RunMount

_KEYS: Mapping[str, frozenset[str]] = {
    "bind": frozenset({"target", "source", "from", "rw", "ro"}),
    "cache": frozenset({"target", "source", "from", "id", "ro", "sharing", "mode", "uid", "gid"}),
    "tmpfs": frozenset({"target", "size"}),
    "secret": frozenset({"target", "id", "required", "mode", "uid", "gid"}),
}
_ALIASES = {"dst": "target", "destination": "target", "src": "source", "readonly": "ro", "readwrite": "rw"}
_FLAGS = frozenset({"ro", "rw", "required"})


def mount(text: str, instruction: Instruction, keys: Mapping[str, str]) -> RunMount:
    """One mount; `keys` are the stages. StackError at its place."""
    options: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        name = _ALIASES.get(name, name)
        if not equals and name not in _FLAGS:
            raise instruction.error(f"mount: {part} has no value", part)
        options[name] = value if equals else "true"
    kind = options.pop("type", "bind")
    if kind not in _KEYS:
        hint = f"there are: {', '.join(_KEYS)}"
        raise instruction.error(f"mounts of type {kind} are not supported", kind, reason="unsupported-key", hint=hint)
    for name in options:
        if name not in _KEYS[kind]:
            raise instruction.error(f"a {kind} mount has no {name}", name, reason="unknown-key")
    origin = options.get("from", "")
    try:
        made = RunMount(
            type=kind,
            target=options.get("target", "") or _default_target(kind, options),
            source=options.get("source", ""),
            from_image=keys.get(origin.lower(), origin),
            id=options.get("id", "") or _default_id(kind, options),
            read_only=_true(options.get("ro", "false")) if kind != "bind" else not _true(options.get("rw", "false")),
            required=_true(options.get("required", "false")),
            sharing=options.get("sharing", "shared"),
            uid=int(options.get("uid", "0")),
            gid=int(options.get("gid", "0")),
            mode=int(options["mode"], 8) if "mode" in options else None,
            size=units.size(options["size"]) if "size" in options else 0,
        )
    except ValueError as error:
        raise instruction.error("mount: a number is malformed", text, reason="bad-value") from error
    if not made.target:
        raise instruction.error(f"a {kind} mount needs a target", "--mount", reason="missing-key")
    if made.sharing not in ("shared", "private", "locked"):
        raise StackError("bad-value", f"sharing is shared, private or locked, not {made.sharing}", at=instruction.at)
    return made


def _default_target(kind: str, options: Mapping[str, str]) -> str:
    return f"/run/secrets/{options['id']}" if kind == "secret" and "id" in options else ""


def _default_id(kind: str, options: Mapping[str, str]) -> str:
    target = options.get("target", "")
    return target.rpartition("/")[2] if kind == "secret" else target


def _true(text: str) -> bool:
    return text.lower() in ("true", "1", "")
