"""Recipe instructions, one concept a file. An instruction says what its result depends on, how it changes the
configuration, and (where it makes a layer) how; `REGISTRY` finds it by its key in the stack file.
"""

from __future__ import annotations

from stackfile.build.steps.base import Instruction
from stackfile.build.steps.copy import ADD, COPY
from stackfile.build.steps.host import HOST
from stackfile.build.steps.run import RUN
from stackfile.build.steps.settings import SETTINGS
from stackfile.build.steps.workdir import WORKDIR

_ALL: tuple[Instruction, ...] = (HOST, COPY, ADD, RUN, WORKDIR, *SETTINGS)
REGISTRY: dict[str, Instruction] = {instruction.kind: instruction for instruction in _ALL}
