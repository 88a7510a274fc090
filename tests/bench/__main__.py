"""Run the benchmarks named on the command line, or all of them."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from pathlib import Path

from tests.bench import config, container_run, looking, memory, stack_up
from tests.bench.measure import Result
from tests.conftest import Box, own_settings
from tests.peers import dockerd

BENCHMARKS = {
    "container-run": container_run.run,
    "look": looking.run,
    "up": stack_up.run,
    "memory": memory.run,
    "config": config.run,
}


def main(names: list[str]) -> None:
    unknown = set(names) - set(BENCHMARKS)
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(BENCHMARKS)}")
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="sf-bench-", dir="/var/tmp") as name:
        directory = Path(name)
        (directory / "work").mkdir()
        box = Box(own_settings(directory), directory / "work", {"STACKFILE_LOG_LEVEL": "warning"})
        try:
            with dockerd(directory / "docker") as docker:
                for benchmark in names or BENCHMARKS:
                    results += BENCHMARKS[benchmark](box, docker)
        finally:
            box.close()
    print(f"{platform.release()}, {os.cpu_count()} cores, Python {platform.python_version()}; ms, min / median")
    print(f"{'':38} {'stackfile':>17} {'peer':>17}   ratio of medians")
    for result in results:
        print(result)
    if path := os.environ.get("BENCH_JSON"):
        Path(path).write_text(json.dumps([result.plain() for result in results], indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
