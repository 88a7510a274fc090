"""The StepRunner protocol: how a build runs a command without knowing about runtimes or networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from stackfile.model.stack import Mount


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRoot:
    """The file system of a step: lower directories (topmost first), and where its writes go."""

    lower: tuple[str, ...]
    upper: str
    work: str


class StepRunner(Protocol):
    async def run(
        self,
        root: StepRoot,
        mounts: Sequence[Mount],
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        user: str = "",
        working_dir: str = "/",
        network: str = "default",
        extra_hosts: Sequence[str] = (),
        output: Callable[[bytes], None] | None = None,
    ) -> int:
        """Run `argv` isolated in `root`; returns its exit code. Output of both streams goes to `output`.

        `network` is default, none or host; `extra_hosts` are `name=address`.
        """
        ...
