"""Where we differ from Compose on purpose, each with its reason. A rule that no case needs fails the tests."""

from __future__ import annotations

STRICTER: dict[str, str] = {
    "restart-policy": "Compose passes any text on, and the engine refuses the container when it is created",
    "fraction": "Compose cuts the fraction of a byte, share or process off, or the whole limit, and says nothing",
    "engine-range": "Compose passes any number on, and the kernel refuses it when the container is created",
    "engine-word": "Compose passes any word on; one that no engine here knows is found before anything runs",
    "relative-target": "a mount needs an absolute target: Docker refuses the container when it is created",
    "address": "Compose passes any text on for an address, and the engine refuses the network or container",
    "shell-words": "CMD-SHELL takes one text: further words become arguments that no shell line reads",
    "device-rule": "Compose passes any text on, and the kernel refuses the rule",
    "empty-hook": "a hook without a command would run nothing",
    "external-content": "what is external is never made here: its file or content would be ignored silently",
    "same-port": "two services cannot publish one port of the machine: the second would fail to start",
}
"""What Compose accepts and we refuse."""

DIFFERENT: dict[str, str] = {
    "device-permissions": "`/dev/b:r` permits reading, as for `docker run`; Compose would name the device file `r`",
    "extension-date": "a date in an extension is printed as text in Go's form, as in `environment`; nothing reads it",
}
"""What both accept and print in another way."""
