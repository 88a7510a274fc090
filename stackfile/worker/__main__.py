"""`python -I -m stackfile.worker --ready-fd N`: the zygote of the engine that the STACKFILE_* variables describe.

Writes `ok` to the descriptor once it takes commands. Everything that a command may use is imported before.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

from stackfile import log, settings
from stackfile.cli import main as run_command
from stackfile.kernel.syscalls import set_process_name
from stackfile.paths import RunPaths
from stackfile.supervisor.presence import Presence, announce
from stackfile.worker.warm import touch, warm
from stackfile.worker.zygote import Zygote, listen


def main(arguments: Sequence[str]) -> int:
    ready = int(arguments[1]) if arguments[:1] == ["--ready-fd"] else -1
    paths = RunPaths(settings.load().run)
    log.unfailing()
    set_process_name("stackfile-worker")
    warm()
    zygote = Zygote(listen(paths.worker, like=paths.socket), run_command, touch, Presence(paths.supervisor))
    # What is here now stays: collecting it in a worker would only copy pages.
    gc.collect()
    gc.freeze()
    if announce(ready):
        zygote.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
