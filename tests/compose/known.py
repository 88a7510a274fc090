"""Where we differ from Compose on purpose, each with its reason. A rule that no case needs fails the tests."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stackfile.errors import StackfileError


@dataclass(frozen=True)
class Rule:
    """Why we refuse what Compose accepts, and the messages by which we do."""

    why: str
    message: str

    def says(self, error: StackfileError) -> bool:
        return re.search(self.message, error.message) is not None


STRICTER: dict[str, Rule] = {
    "restart-policy": Rule(
        "Compose passes any text on, and the engine refuses the container when it is created",
        "^no restart policy",
    ),
    "fraction": Rule(
        "Compose cuts the fraction of a byte, share or process off, or the whole limit, and says nothing",
        "^(text|a whole number) is wanted here, not (a number|text)",
    ),
    "engine-range": Rule(
        "Compose passes any number on, and the kernel refuses it when the container is created",
        "^(mem_swappiness is from|blkio .* needs|a ratio is from|a weight is from"
        "|not a number of CPUs|.* is negative|not a duration: '-)",
    ),
    "engine-word": Rule(
        "Compose passes any word on; one that no engine here knows is found before anything runs",
        "^(no protocol|mode is ingress|no network mode|mode .* needs a cluster|no network .* for a build|no ipam driver"
        "|no mount option|not a namespace|.* is not possible here|no condition|not a signal|no format|not a platform"
        "|no propagation|.* is none of|not volumes of another)",
    ),
    "engine-text": Rule(
        "Compose passes any text on for a port, a set of CPUs or the name of a host or container, and the engine "
        "refuses the container when it is created",
        "^(not a port|max-file is|not a size|this must not be empty"
        "|.* is no name of a variable|not a set of CPUs|not a host name"
        "|not a container name|a container's port is not 0|the ranges"
        "|not a volume|.* is no volume name|uid and gid are numbers|a config's|not a health check|not a mode"
        "|not a name of an interface)",
    ),
    "relative-target": Rule(
        "a mount or a device needs an absolute target: Docker refuses the container when it is created",
        "^(a mount's target is an absolute path|a device is an absolute path"
        "|a volume needs `target`|permissions are letters)",
    ),
    "address": Rule(
        "Compose passes any text on for an address, and the engine refuses the network or container",
        "^(not an address|not `name=address`|not a MAC address|not a subnet|ipam.config needs `subnet`)",
    ),
    "shell-words": Rule(
        "CMD-SHELL takes one text: further words become arguments that no shell line reads",
        "^CMD-SHELL takes one text",
    ),
    "device-rule": Rule("Compose passes any text on, and the kernel refuses the rule", "^not a device rule"),
    "empty-hook": Rule("a hook without a command would run nothing", "^the hook has no command"),
    "external-content": Rule(
        "what is external is never made here: its file or content would be ignored silently",
        "is external and has|^external needs `name`|needs `file`|^unknown key .* in external",
    ),
    "yaml-colon": Rule(
        "libyaml takes the colon of `{a:}` for a part of the text, Compose's reader does not", "^not YAML"
    ),
    "same-target": Rule(
        "of two mounts at one place, the first cannot be seen; Compose finds it only where both are spelled alike",
        "mounts two things at",
    ),
    "windows-path": Rule("a path with a drive is none of this machine", "has a path of Windows"),
    "include-entry": Rule(
        "Compose passes over a key that it does not know, and an entry without `path` includes nothing: both are slips",
        "^(unknown key .* in include|include needs `path`|this must not be empty)",
    ),
    "binary-bytes": Rule("bytes that are no text would reach the engine as replacement marks", "bytes are no UTF-8"),
    "same-port": Rule(
        "two services cannot publish one port of the machine: the second would fail to start",
        "publish host port",
    ),
}
"""What Compose accepts and we refuse."""

DIFFERENT: dict[str, str] = {
    "device-permissions": "`/dev/b:r` permits reading, as for `docker run`; Compose would name the device file `r`",
    "reset-in-list": "`!reset` of a variable counts in every file; Compose forgets it once two files gave variables",
    "name-at-end": "a name alone is taken from the environment on an env file's last line too; where no newline "
    "follows, Compose makes it the value of a variable without a name",
    "include-env-file": "the variables of an included stack's `.env` are known in its services' env files too, as in "
    "its own text; Compose expands those with the outer variables",
    "drive-letter": "one letter is the volume of that name; Compose takes it for a drive of Windows, and makes a mount "
    "that no engine on Linux accepts: its target is no absolute path",
    "no-network-mode": "an empty `network_mode`, as of a variable that is not set, is none, so the service is in the "
    "default network; Compose leaves it without any",
    "extension-date": "a date in an extension is printed as text in Go's form, as in `environment`; nothing reads it",
}
"""What both accept and print in another way."""

NOT_READ_BACK: dict[str, str] = {
    "service/blkio-config": "`Path`, `Weight` and `Rate` are printed with capitals, and read without",
    "service/blkio-rate-zero": "as service/blkio-config",
    "many/merge-services": "as service/blkio-config",
    "many/merge-groups": "two of one text are printed, and refused when read",
    "many/merge-hosts-two-forms": "as many/merge-groups",
    "many/profiles-dependency-optional": "the dependency that is left out is still named",
    "service/empty-texts": "an empty `dockerfile` is printed as none, for which the default is printed",
    "build/inline-empty": "an empty text is printed as none",
    "service/group-add-types": "a number is printed as text, which is there already",
    "yaml/dollar-key": "keys are not interpolated, yet a dollar sign in them is printed twice",
    "top/everything": "as service/blkio-config",
    "service/cpus-precision": "printed with the precision of a 32 bit number",
    "service/mem-swappiness-zero": "0 is printed as nothing; in a container it is a limit all the same",
    "service/gpus-zero": "0 is printed as nothing, which reads as all of them",
    "service/ulimits-zero": "0 is printed as an empty mapping",
    "top/config-content-empty": "an empty content is printed as none",
    "top/models": "`models` is not printed",
    "top/models-long": "`models` is not printed",
}
"""What Compose prints in a form that it, and we, do not read as it was written."""


def is_accident(difference: str) -> bool:
    """Whether a difference is Compose's own mistake: `x-` keys of free mappings (labels, options, contexts, …) are
    no extensions there, yet it prints them as one key `#extensions` whose text is Go's print-out of a map.
    """
    return "/#extensions: " in difference or re.search(r"/x-[^/]*: .* is too much$", difference) is not None
