"""No quadratic work: a load takes time in proportion to the file."""

from __future__ import annotations

import time

from tests.unit.language.memory import load_text

SERVICE = """\
  s{0}:
    image: "registry.example/app:{{{{ values.tag }}}}"
    command: [python3, app.py, "{{{{ values.level }}}}"]
    environment: {{A: "{{{{ values.level | upper }}}}", B: two, C: "${{HOME:-x}}", D: "{{{{ stack.name }}}}"}}
    ports: ["{1}:80"]
    volumes: ["v:/data"]
    healthcheck: {{test: [CMD, x], interval: 2s}}
    deploy: {{replicas: 2}}
"""


def text(count: int) -> str:
    services = "".join(SERVICE.format(number, 10_000 + number) for number in range(count))
    return f"values: {{level: info, tag: '1.2'}}\nvolumes: {{v: }}\nservices:\n{services}"


def seconds(count: int) -> float:
    source = text(count)
    best = 60.0
    for _ in range(3):
        start = time.perf_counter()
        assert len(load_text(source).services) == count
        best = min(best, time.perf_counter() - start)
    return best


def test_time_grows_with_the_file() -> None:
    small = seconds(50)
    assert seconds(400) < 8 * small * 3
