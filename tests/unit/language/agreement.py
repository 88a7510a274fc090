"""Whether the schema of stack files and the parser say the same of a tree.

The schema is of files as editors see them: `${…}` and `{{ … }}` stand there as text, and may stand for any value. What
is held against it is the tree of all files, merged, with what they extend and include, before templates are evaluated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from stackfile.errors import ErrorList, StackfileError
from stackfile.language.dialect import COMPOSE as COMPOSE_DIALECT
from stackfile.language.merge import RESET
from stackfile.language.nodes import Broken, Mapping, Node, Scalar, Template
from stackfile.language.options import LoadOptions, Reader
from stackfile.language.pipeline import Pipeline
from stackfile.model.stack import Stack

ROOT = Path(__file__).parents[3]
SCHEMA: dict[str, Any] = json.loads((ROOT / "schemas/stack.schema.json").read_text())
DEFINITIONS: dict[str, Any] = SCHEMA["$defs"]
WHOLE = Draft202012Validator(SCHEMA)


@dataclass(frozen=True)
class Rule:
    """What the parser refuses and the schema cannot: why, and the messages."""

    why: str
    message: str


BEYOND: dict[str, Rule] = {
    "reference": Rule(
        "what is named must be there: a schema does not follow names",
        "no (service|network|volume|config|secret|image|model) .* (in the stack|to extend)|^not a service",
    ),
    "file": Rule("a schema reads no files", "^no such file"),
    "address": Rule("what an address or a subnet is no pattern tells in a readable way", "^not (an address|a subnet)"),
    "made-name": Rule("the name is made by a loop", "is no name for a"),
    "external-false": Rule("`external: false` says nothing; the content is wanted all the same", "needs `content`"),
    "extended": Rule("the image may come from what is extended", "^service .* needs `image`"),
    "elsewhere": Rule(
        "a schema looks at one place at a time: ports, names, mounts and limits are compared with others",
        "publish host port|mounts two things|differ( in length)?$|two things$|exclude each other|container_name$"
        "|is a service and a job|^scale is|is external and has|not among `build.platforms`|no service with a `build`",
    ),
    "cycle": Rule("a schema does not follow names", "(depend on|extend|made from|contain) each other|includes itself"),
    "variable": Rule(
        "`${…}` and env files are text for a schema",
        r"`\$\{`|^invalid variable|^variable .* is (required|not set)|^not an assignment|quote . is not closed"
        "|is no name of a variable$",
    ),
    "command": Rule("how a shell splits words is no pattern", "^not a command"),
    "twice": Rule("of a key that is written twice a schema sees one", "^key .* is there twice"),
    "include": Rule(
        "what is included or extended is there already",
        "in (include|extends)$|^(include|extends) (needs|is)|^a path|^this must not be empty",
    ),
    "range": Rule("a pattern compares no numbers", "^(not a port or a range|a container's port is not 0)"),
    "infinite": Rule("JSON has no such number", "^not a number of CPUs|is no number$"),
    "project-name": Rule("Compose makes a name of any text, a stack file does not", "is no project name$"),
    "empty": Rule("what an empty file is depends on the dialect", "^the file is empty"),
    "command-line": Rule("a schema reads no command line", "^no (environment|service) '[^']*'$"),
    "default": Rule("a schema counts no members of a kind", "are both default$"),
    "template-file": Rule("a schema reads no files", "is not defined$"),
    "template-driver": Rule("Compose files may say what they like", "^template_driver is jinja$"),
    "values": Rule("`values` have a schema of their own", "^no value |^values"),
    "merged": Rule("a schema sees no other file", "is included too, and differs$|cannot override|stands? for two"),
    "url": Rule("what is built from where is Compose's as well", "is not supported yet$"),
}
"""What the parser refuses and the schema cannot. A rule that nothing needs fails the tests."""

COMPOSE: dict[str, Rule] = {
    "types": Rule(
        "the schema is of stack files, where templates give numbers for texts, and the other way around",
        "^(text|a number|a whole number|a mode|a list|a mapping|true or false) is wanted here"
        "|^(services|networks|volumes|configs) is a mapping, not null|^(version|a name) is text",
    ),
    "words": Rule(
        "stack files have defaults for it, or take a repetition for one",
        "is there twice$|needs `(condition|target|type)`$|ends in a blank$",
    ),
    "dialect": Rule("the schema is of stack files", "is not a key of Compose files$"),
}
"""What Compose files alone refuse."""


def rule_of(error: StackfileError, compose: bool = False) -> str:
    """The name of the rule by which the schema need not refuse what this error is about; "" for none."""
    rules = BEYOND | COMPOSE if compose else BEYOND
    return next((name for name, rule in rules.items() if re.search(rule.message, error.message)), "")


def plain(node: Node) -> Any:
    """A tree as an editor sees it. What `!reset` removes is not there; what is broken stands for anything."""
    if isinstance(node, Mapping):
        return {key: plain(child) for key, child in node.entries.items() if getattr(child, "tag", "") != RESET}
    if isinstance(node, Scalar | Template):
        return "{{ broken }}" if isinstance(node, Broken) else node.text if isinstance(node, Template) else node.value
    return [plain(item) for item in node.items]


class Watched(Pipeline):
    """A load that keeps the tree that it made the stack of."""

    tree: Mapping | None = None

    @property
    def compose(self) -> bool:
        return self.dialects == {COMPOSE_DIALECT}

    def gathered(self) -> Mapping:
        self.tree = super().gathered()
        return self.tree

    def _normalise(self, document: Mapping, *rest: Any) -> Stack:
        self.tree = document
        return super()._normalise(document, *rest)


def load(options: LoadOptions, reader: Reader, contents: bool = False) -> tuple[Watched, list[StackfileError]]:
    """A load, and its errors."""
    pipeline = Watched(options, reader, [], contents)
    try:
        pipeline.run()
    except ErrorList as error:
        return pipeline, list(error.errors)
    except StackfileError as error:
        return pipeline, [error]
    return pipeline, []


def disagreement(loaded: Watched, errors: Sequence[StackfileError], used: set[str]) -> list[str]:
    """What the schema and a load say differently, but for the rules; those that were needed are added to `used`."""
    if loaded.tree is None:
        return []
    wrong = list(WHOLE.iter_errors(plain(loaded.tree)))
    found = [f"{error.json_path}: {error.message:.200}" for error in wrong]
    if not errors:
        return [text for text, error in zip(found, wrong, strict=True) if not _waits(error)]
    if found or loaded.tree.templated:
        return []  # what a template gives is not known to a schema
    by_rule = {error.message: rule_of(error, loaded.compose) for error in errors}
    used.update(filter(None, by_rule.values()))
    return [message for message, rule in by_rule.items() if not rule]


def _waits(error: ValidationError) -> bool:
    """Whether an error is of an environment: it is told when that applies; its `default` always."""
    path = list(error.absolute_path)
    return path[:1] == ["environments"] and path[2:] != ["default"]
