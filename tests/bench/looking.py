"""`exec` and `ps` of a running stack, by our client and by docker's."""

from __future__ import annotations

from tests.bench.measure import Result, compare
from tests.bench.ours import client, warm
from tests.bench.stack_up import IMAGES
from tests.conftest import Box
from tests.peers import Docker

REPEAT = 25
STACK = f"""name: bench-look
{IMAGES}
services:
  web: {{image: busybox, command: [busybox, sleep, '600'], stop_signal: SIGKILL, scale: 5}}
"""


def run(box: Box, docker: Docker) -> list[Result]:
    box.stack(STACK)
    client(box, "up", "-d")
    warm(box)
    names = [f"bench-look-{number}" for number in range(5)]
    for name in names:
        docker.cli("run", "-d", "--name", name, "busybox", "busybox", "sleep", "600")
    try:
        return [
            compare(
                "exec SERVICE true",
                lambda: client(box, "exec", "web", "busybox", "true"),
                lambda: docker.cli("exec", names[0], "busybox", "true"),
                repeat=REPEAT,
            ),
            compare("ps", lambda: client(box, "ps"), lambda: docker.cli("ps"), repeat=REPEAT),
            compare("version", lambda: client(box, "version"), lambda: docker.cli("--version"), repeat=REPEAT),
        ]
    finally:
        docker.cli("rm", "-f", *names)
        client(box, "down", "-t", "0")
