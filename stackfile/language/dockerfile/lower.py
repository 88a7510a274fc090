"""Instructions of a Dockerfile → steps as recipes have them. One function an instruction; `STEPS` finds it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from stackfile.errors import StackError
from stackfile.language import scalars, units
from stackfile.language.dockerfile import source, words
from stackfile.language.dockerfile.mounts import mount
from stackfile.language.dockerfile.source import Instruction
from stackfile.model.stack import Healthcheck, Step

SHELL = ("/bin/sh", "-c")
PROXIES = frozenset(
    name
    for upper in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (upper, upper.lower())
)
"""Arguments that commands get without an ARG, and that no result depends on."""

_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)
_HEREDOC = re.compile(r"\d*<<-?(['\"]?)([A-Za-z_][A-Za-z0-9_.]*)\1")
_UNSUPPORTED = frozenset({"parents", "exclude", "keep-git-dir", "security"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What an instruction sees: variables of its stage (the image's win over arguments), the shell in force."""

    variables: Mapping[str, str]
    shell: tuple[str, ...] = ()
    escape: str = "\\"
    keys: Mapping[str, str] = field(default_factory=dict)
    """What stages are called → their keys."""
    args: Mapping[str, str] = field(default_factory=dict)
    """Build arguments."""
    outer: Mapping[str, str] = field(default_factory=dict)
    """Arguments before the first FROM, and those that every Dockerfile knows."""
    context: str = ""
    """Digest of the build context's manifest."""
    network: str = ""
    extra_hosts: tuple[str, ...] = ()

    def expand(self, text: str) -> str:
        return words.expand(text, self.variables, self.escape)

    def words(self, instruction: Instruction) -> list[str]:
        """The words of an instruction, variables filled in."""
        found = instruction.array if instruction.array is not None else words.split(instruction.text, self.escape)
        return [self.expand(word) for word in found]

    def command(self, instruction: Instruction) -> tuple[str, ...]:
        """A command: the exec form as it is, the shell form for the shell."""
        if instruction.array is not None:
            return instruction.array
        return (*(self.shell or SHELL), instruction.text)


Lower = Callable[[Instruction, Scope], Step]


def lower(instruction: Instruction, scope: Scope) -> Step:
    """The step of an instruction. StackError at the instruction's place."""
    for name, _ in instruction.flags:
        if name in _UNSUPPORTED:
            raise instruction.error(f"--{name} is not supported yet", f"--{name}", reason="unsupported-key")
    try:
        return STEPS[instruction.keyword](instruction, scope)
    except StackError as error:
        error.at = error.at or instruction.at
        raise


def _pairs(instruction: Instruction, scope: Scope) -> dict[str, str]:
    """`NAME=value …`, or the old form `NAME value`."""
    found = words.split(instruction.text, scope.escape)
    if "=" not in found[0]:
        name, value = ([*instruction.text.split(None, 1), ""])[:2]
        if not value:
            raise instruction.error(f"{name} has no value", name, hint=f"{instruction.keyword} {name}=…")
        return {scope.expand(name): scope.expand(value)}
    result: dict[str, str] = {}
    for word in found:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise instruction.error(f"not NAME=value: {word}", word)
        result[scope.expand(name)] = scope.expand(value)
    return result


def _argument(instruction: Instruction, scope: Scope) -> Step:
    variables = dict(scope.variables)
    mapping: dict[str, str] = {}
    for word in words.split(instruction.text, scope.escape):
        name, equals, default = word.partition("=")
        if name in scope.args:
            mapping[name] = scope.args[name]
        elif equals:
            mapping[name] = words.expand(default, variables, scope.escape)
        elif name in scope.outer:
            mapping[name] = scope.outer[name]
        variables |= mapping
    return Step(kind="arg", mapping=mapping)


def _run(instruction: Instruction, scope: Scope) -> Step:
    inline: dict[str, str] = {}
    argv = scope.command(instruction)
    if instruction.heredocs:
        first = instruction.heredocs[0]
        alone = _HEREDOC.fullmatch(instruction.text.strip()) is not None
        if alone and first.text.startswith("#!"):
            inline = {first.name: first.text}
            argv = (f"/run/{first.name}",)
        elif alone:
            argv = (*argv[:-1], first.text)
        else:
            rest = "".join(f"{heredoc.text}{heredoc.name}\n" for heredoc in instruction.heredocs)
            argv = (*argv[:-1], f"{instruction.text}\n{rest}")
    if not argv:
        raise instruction.error("the command is empty")
    flags = dict(instruction.flags)
    network = flags.get("network", scope.network)
    if network not in ("", "default", "none", "host"):
        raise instruction.error(f"no network {network!r}", network, reason="bad-value", hint="default, none, host")
    return Step(
        kind="run",
        argv=argv,
        mapping={name: value for name, value in scope.args.items() if name in PROXIES},
        mounts=tuple(mount(scope.expand(value), instruction, scope.keys)
                     for name, value in instruction.flags if name == "mount"),
        network="" if network == "default" else network,
        inline=inline,
        context=scope.context,
        whole=True,
        extra_hosts=scope.extra_hosts,
    )  # fmt: skip


def _copy(instruction: Instruction, scope: Scope) -> Step:
    found = instruction.array if instruction.array is not None else words.split(instruction.text, scope.escape)
    if len(found) < 2:
        raise instruction.error("it needs a source and a target")
    heredocs = {heredoc.name: heredoc for heredoc in instruction.heredocs}
    sources: list[str] = []
    inline: dict[str, str] = {}
    for word in found[:-1]:
        match = _HEREDOC.fullmatch(word)
        if match and match[2] in heredocs:
            heredoc = heredocs[match[2]]
            text = heredoc.text
            inline[heredoc.name] = text if heredoc.literal else words.expand_text(text, scope.variables, scope.escape)
        else:
            sources.append(_source(instruction, scope.expand(word)))
    flags = dict(instruction.flags)
    origin = flags.get("from", "")
    return Step(
        kind=instruction.keyword.lower(),
        source=tuple(sources),
        target=scope.expand(found[-1]),
        chown=scope.expand(flags.get("chown", "")),
        chmod=scope.expand(flags.get("chmod", "")),
        from_image=scope.keys.get(origin.lower(), origin),
        context=scope.context,
        whole=True,
        inline=inline,
        checksum=scope.expand(flags.get("checksum", "")),
    )


def _source(instruction: Instruction, text: str) -> str:
    if text.startswith("git@") or (instruction.keyword == "ADD" and text.startswith(("git://", "ssh://"))):
        raise instruction.error("git repositories are not supported yet", text, reason="unsupported-key")
    return text or "."


def _expose(instruction: Instruction, scope: Scope) -> Step:
    return Step(kind="expose", argv=tuple(_ports(instruction, scope)))


def _ports(instruction: Instruction, scope: Scope) -> Iterator[str]:
    for word in scope.words(instruction):
        for text in word.split():
            match = _PORT.fullmatch(text)
            if not match or not 0 < int(match[1]) <= int(match[2] or match[1]) < 65536:
                raise instruction.error(f"not a port: {text!r}", text, reason="bad-port")
            protocol = (match[3] or "tcp").lower()
            yield from (f"{port}/{protocol}" for port in range(int(match[1]), int(match[2] or match[1]) + 1))


def _volume(instruction: Instruction, scope: Scope) -> Step:
    return Step(kind="volume", argv=tuple(scope.words(instruction)))


def _text(kind: str) -> Lower:
    def make(instruction: Instruction, scope: Scope) -> Step:
        value = scope.expand(instruction.text)
        if not value:
            raise instruction.error(f"{instruction.text} is empty", instruction.text)
        return Step(kind=kind, text=value)

    return make


def _mapped(kind: str) -> Lower:
    return lambda instruction, scope: Step(kind=kind, mapping=_pairs(instruction, scope))


def _command(kind: str) -> Lower:
    return lambda instruction, scope: Step(kind=kind, argv=scope.command(instruction))


def _shell(instruction: Instruction, scope: Scope) -> Step:
    if not instruction.array:
        raise instruction.error("it needs a JSON array", instruction.text, hint='SHELL ["/bin/bash", "-c"]')
    return Step(kind="shell", argv=instruction.array)


def _health(instruction: Instruction, scope: Scope) -> Step:
    if instruction.text.upper() == "NONE":
        return Step(kind="healthcheck", healthcheck=Healthcheck(test=("NONE",)))
    keyword, rest = ([*instruction.text.split(None, 1), ""])[:2]
    if keyword.upper() != "CMD" or not rest:
        raise instruction.error("HEALTHCHECK CMD command, or HEALTHCHECK NONE", keyword)
    inner = source.single(f"CMD {rest}", instruction.at, scope.escape)
    test = ("CMD", *inner.array) if inner.array is not None else ("CMD-SHELL", rest)
    flags = dict(instruction.flags)
    default = Healthcheck(test=())

    def time(name: str, otherwise: int) -> int:
        return units.duration(flags[name]) if name in flags else otherwise

    retries = scalars.whole(flags.get("retries", "3"))
    if retries is None or retries < 0:
        raise instruction.error(f"--retries is a number, not {flags['retries']!r}", "--retries", reason="bad-value")
    check = Healthcheck(
        test=test,
        interval=time("interval", default.interval),
        timeout=time("timeout", default.timeout),
        start_period=time("start-period", default.start_period),
        start_interval=time("start-interval", default.start_interval),
        retries=retries or default.retries,
    )
    return Step(kind="healthcheck", healthcheck=check)


def _on_build(instruction: Instruction, scope: Scope) -> Step:
    keyword = instruction.text.split(None, 1)[0].upper()
    if keyword in ("ONBUILD", "FROM", "MAINTAINER") or keyword not in STEPS:
        raise instruction.error(f"{keyword} cannot wait for another build", keyword)
    return Step(kind="onbuild", argv=(instruction.text,))


def _maintainer(instruction: Instruction, scope: Scope) -> Step:
    # Deprecated: Docker writes it where nothing reads it. The image's history has it here.
    return Step(kind="label", mapping={})


STEPS: dict[str, Lower] = {
    "ADD": _copy,
    "ARG": _argument,
    "CMD": _command("cmd"),
    "COPY": _copy,
    "ENTRYPOINT": _command("entrypoint"),
    "ENV": _mapped("env"),
    "EXPOSE": _expose,
    "HEALTHCHECK": _health,
    "LABEL": _mapped("label"),
    "MAINTAINER": _maintainer,
    "ONBUILD": _on_build,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _text("stopsignal"),
    "USER": _text("user"),
    "VOLUME": _volume,
    "WORKDIR": _text("workdir"),
}
