from __future__ import annotations

import json
from dataclasses import replace

import pytest

from stackfile.language.dump import dump, duration
from stackfile.model.stack import Stack
from tests.unit.language.memory import load_text

FULL = """\
name: full
images:
  base: {from: scratch, steps: [{host: {programs: [sh]}}, {env: {A: "1"}}]}
  app:
    from: base
    tags: [other]
    steps:
      - copy: {source: ./app, target: /app, chown: "1:1", chmod: 0750, from: base}
      - run: |
          echo $$HOME
          echo done
      - healthcheck: {test: [CMD, a], interval: 90s, retries: 5}
      - expose: 80
      - cmd: [a]
services:
  a:
    image: app
    command: []
    entrypoint: [/bin/x, "$$A", "{{ '{{' }} b }}"]
    environment: {S: {secret: s}, N: , T: "true", E: "", V: "1e3"}
    user: "1000"
    hostname: h
    labels: {a: "$$x"}
    ports: ["127.0.0.1:8080:80/udp", {target: 81, published: 81, mode: host}]
    expose: [90]
    volumes: ["v:/d:ro", "./b:/b", {type: tmpfs, target: /t, tmpfs: {size: 1m, mode: 0700}},
              {type: bind, source: /x, target: /x, bind: {create_host_path: false}}]
    tmpfs: "/u:size=1m"
    configs: [{source: c, target: /c, mode: 0400, uid: 5, on_change: SIGHUP}]
    secrets: [s]
    networks: {n: {aliases: [q], ipv4_address: 10.5.0.9, priority: 3}}
    depends_on: {b: {condition: service_healthy, restart: true}}
    healthcheck: {disable: true}
    restart: on-failure:3
    mem_limit: 64m
    cpus: 0.25
    pids_limit: 10
    stop_grace_period: 1m30s
    tty: true
    ulimits: {nofile: {soft: 1, hard: 2}}
    extra_hosts: ["h:1.2.3.4"]
    sysctls: {net.core.somaxconn: 10}
    scale: 1
    shm_size: 1m
    oom_score_adj: -5
    dns: 1.1.1.1
  b: {image: "x:1.10", network_mode: none, profiles: [p]}
networks:
  n: {ipam: {config: [{subnet: 10.5.0.0/24, gateway: 10.5.0.1}]}, internal: true}
volumes: {v: {labels: {x: "1"}}}
configs: {c: {content: "a $$b {{ '{%' }}\\n"}}
secrets: {s: {generate: {length: 9}}}
"""


@pytest.fixture
def stack() -> Stack:
    return load_text(FULL, profiles=("p",))


@pytest.mark.parametrize("format", ["yaml", "json"])
def test_the_canonical_form_reads_back_as_the_same_stack(stack: Stack, format: str) -> None:  # noqa: A002
    again = load_text(dump(stack, format), profiles=("p",))  # type: ignore[arg-type]
    assert replace(again, origins={}) == replace(stack, origins={})


def test_replicas_show_what_differs() -> None:
    stack = load_text("services: {a: {image: x, scale: 2, hostname: 'h{{ replica.index }}'}}")
    plain = json.loads(dump(stack, "json"))
    assert plain["services"]["a"]["x-replicas"] == [{}, {"hostname": "h2"}]


def test_the_content_of_secrets_is_never_in_it() -> None:
    stack = load_text("secrets: {s: {content: hush}, t: {content: 'a{{ secrets.s }}b'}}\nservices: {}")
    for text in (dump(stack), dump(stack, "json")):
        assert "hush" not in text
        assert text.endswith("\n")


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0s"), (10**9, "1s"), (90 * 10**9, "90s"), (60 * 10**9, "1m"), (5, "5ns"), (10**7, "10ms")]
)
def test_durations(value: int, text: str) -> None:
    assert duration(value) == text
