"""`completion`: scripts that complete verbs, options and names in a shell."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.completion import SHELLS, script
from stackfile.cli.context import Context
from stackfile.errors import StackfileError, UsageError

_LISTS = ("services", "containers", "images", "volumes", "networks")


def register() -> Verb:
    return Verb(
        name="completion",
        summary="A script for bash, zsh or fish that completes verbs, options and names",
        operands="bash|zsh|fish",
        maximum=1,
        options=(option("--list", "names that can be completed now, one a line", "KIND", choices=_LISTS),),
        run=run,
        text='bash: eval "$(stackfile completion bash)" in ~/.bashrc\n'
        'zsh:  eval "$(stackfile completion zsh)" in ~/.zshrc\n'
        "fish: stackfile completion fish > ~/.config/fish/completions/stackfile.fish",
    )


def run(context: Context, arguments: Arguments) -> int:
    if arguments.given("list"):
        for name in _names(context, arguments.text("list")):
            context.console.print(name)
        return 0
    if not arguments.positional:
        raise UsageError("usage", "completion: for which shell?", hint=f"one of {', '.join(SHELLS)}")
    shell = arguments.positional[0]
    if shell not in SHELLS:
        raise UsageError("usage", f"no completion for {shell}", hint=f"one of {', '.join(SHELLS)}")
    context.console.print(script(shell).rstrip())
    return 0


def _names(context: Context, kind: str) -> list[str]:
    """Nothing where nobody can tell: a completion never complains, and never starts an engine."""
    try:
        if kind == "services":
            return _services(context)
        client = context.client(start=False, check=False)
        if kind == "containers":
            return [record.spec.name for record in client.containers()]
        if kind == "images":
            return [tag.removeprefix("docker.io/").removeprefix("library/") for i in client.images() for tag in i.tags]
        found = client.volumes() if kind == "volumes" else client.networks()
        return [item.name for item in found]
    except StackfileError:
        return []


def _services(context: Context) -> list[str]:
    from stackfile import api

    try:
        stack = api.load(context.load_options())
    except StackfileError:
        project = context.find_project()
        if project is None or project.stack is None:
            return []
        stack = project.stack
    return sorted([*stack.services, *stack.groups])
