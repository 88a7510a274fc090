"""`container run --rm IMAGE true` against `docker run --rm busybox true`, on a bridge, warm."""

from __future__ import annotations

from tests.bench.measure import Result, compare
from tests.bench.ours import client, warm
from tests.conftest import Box
from tests.peers import Docker

IMAGE = """
name: bench
images:
  busybox:
    from: scratch
    steps:
      - host: {programs: [busybox]}
"""


def run(box: Box, docker: Docker) -> list[Result]:
    box.stack(IMAGE)
    box.run("build")
    warm(box)
    return [
        compare(
            "container run --rm IMAGE true",
            lambda: client(box, "container", "run", "--rm", "bench/busybox", "busybox", "true"),
            lambda: docker.cli("run", "--rm", "busybox", "busybox", "true"),
            repeat=15,
        )
    ]
