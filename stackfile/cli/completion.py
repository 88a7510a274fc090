"""Completion scripts of bash, zsh and fish, made from the table of verbs and their options."""

from __future__ import annotations

from collections.abc import Iterable

from stackfile.cli import registry
from stackfile.cli.arguments import Option, Verb
from stackfile.cli.options import GLOBAL

SHELLS = ("bash", "zsh", "fish")
_DYNAMIC = {"SERVICE": "services", "CONTAINER": "containers", "IMAGE": "images", "VOLUME": "volumes",
            "NETWORK": "networks"}  # fmt: skip


def script(shell: str) -> str:
    """The script that the shell reads."""
    verbs = [registry.load(name) for name in registry.names()]
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](verbs)


def _spellings(options: Iterable[Option]) -> list[str]:
    return [spelling for item in options for spelling in item.spellings if spelling.startswith("--")]


def _kind(verb: Verb) -> str:
    """What its operands name: services, containers, …, or "" for nothing that is known."""
    word = verb.operands.strip("[]").partition(" ")[0].rstrip("…]").partition(":")[0].partition("=")[0]
    return _DYNAMIC.get(word, "")


def _second(verbs: list[Verb]) -> dict[str, list[str]]:
    """Group → second words."""
    found: dict[str, list[str]] = {}
    for verb in verbs:
        group, space, rest = verb.name.partition(" ")
        if space:
            found.setdefault(group, []).append(rest)
    return found


def _first(verbs: list[Verb]) -> list[str]:
    return sorted({verb.name.partition(" ")[0] for verb in verbs})


_BASH = r"""# bash completion of stackfile:  eval "$(stackfile completion bash)"
_stackfile() {
    local word=${COMP_WORDS[COMP_CWORD]} verb="" group="" i item
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        item=${COMP_WORDS[i]}
        case $item in
            -f|-p|-E|-H|--file|--project-name|--environment|--host|--values|--set|--env-file|--profile) ((i++));;
            -*) ;;
            *) if [ -z "$verb" ]; then verb=$item
               elif [ -z "$group" ]; then case $verb in @GROUPS@) group=$item; verb="$verb $item";; *) group=-;; esac
               fi;;
        esac
    done
    local options="@GLOBAL@" words="" kind=""
    case $verb in
@CASES@
    esac
    case $word in
        -*) COMPREPLY=($(compgen -W "$options" -- "$word")); return;;
    esac
    [ -n "$kind" ] && words="$words $(stackfile completion --list "$kind" 2>/dev/null)"
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    [ -z "$words" ] && compopt -o default 2>/dev/null
}
complete -F _stackfile stackfile
"""


def _bash(verbs: list[Verb]) -> str:
    groups = _second(verbs)
    cases = [f'        "") words="{" ".join(_first(verbs))}";;']
    cases += [f'        "{group}") words="{" ".join(sorted(rest))}";;' for group, rest in groups.items()]
    for verb in verbs:
        options = " ".join(_spellings(verb.options))
        kind = f" kind={_kind(verb)}" if _kind(verb) else ""
        cases.append(f'        "{verb.name}") options="$options {options}"{kind};;')
    text = _BASH.replace("@GROUPS@", "|".join(groups)).replace("@GLOBAL@", " ".join(_spellings(GLOBAL)))
    return text.replace("@CASES@", "\n".join(cases))


def _zsh(verbs: list[Verb]) -> str:
    """zsh runs bash's function."""
    head = '# zsh completion of stackfile:  eval "$(stackfile completion zsh)"\n'
    return head + "autoload -U +X bashcompinit && bashcompinit\n" + _bash(verbs).partition("\n")[2]


def _fish(verbs: list[Verb]) -> str:
    lines = ["# fish completion of stackfile:  stackfile completion fish | source", "complete -c stackfile -f"]
    groups = _second(verbs)
    top = "__fish_use_subcommand"
    for verb in verbs:
        group, space, rest = verb.name.partition(" ")
        if space:
            place = (
                f"__fish_seen_subcommand_from {group}; and not __fish_seen_subcommand_from {' '.join(groups[group])}"
            )
            lines.append(_fish_word(place, rest, verb.summary))
            seen = f"__fish_seen_subcommand_from {group}; and __fish_seen_subcommand_from {rest}"
        else:
            lines.append(_fish_word(top, verb.name, verb.summary))
            seen = f"__fish_seen_subcommand_from {verb.name}"
        if _kind(verb):
            lines.append(f"complete -c stackfile -n '{seen}' -a '(stackfile completion --list {_kind(verb)})'")
        lines += [_fish_option(seen, item) for item in verb.options]
    lines += [_fish_word(top, group, f"{group}: {', '.join(rest)}") for group, rest in groups.items()]
    lines += [_fish_option("true", item) for item in GLOBAL]
    return "\n".join(lines) + "\n"


def _fish_word(condition: str, word: str, text: str) -> str:
    return f"complete -c stackfile -n '{condition}' -a {word} -d {_quoted(text)}"


def _fish_option(condition: str, item: Option) -> str:
    parts = [f"-l {spelling[2:]}" if spelling.startswith("--") else f"-s {spelling[1:]}" for spelling in item.spellings]
    needs = " -r" if item.metavar else ""
    choices = f" -a '{' '.join(item.choices)}'" if item.choices else ""
    return f"complete -c stackfile -n '{condition}' {' '.join(parts)}{needs}{choices} -d {_quoted(item.help)}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
