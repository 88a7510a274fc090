"""What the four stacks say now: a file each, of which some part is changed at random."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

NAMES = ("north", "south", "east", "west")

_TEXT = """name: {name}
images:
  app:
    from: scratch
    steps:
      - host: {{programs: [busybox]}}
      - run: [busybox, sh, -c, "mkdir -p /www /tmp; echo {generation} > /generation"]
configs:
  page: {{content: "{content}"}}
networks:
  default: {{}}
  common: {{external: true, name: common}}
volumes:
  own: {{}}
services:
  web:
    image: app
    command: [busybox, sh, -c, "echo $$HOSTNAME > /www/index.html; exec busybox httpd -f -p 80 -h /www"]
    stop_signal: SIGKILL
    restart: always
    scale: {webs}
    ports: ["127.0.0.1:{port}:80"]
    environment: {{COLOUR: "{colour}"}}
    networks: [default, common]
    configs: [{{source: page, target: /page, on_change: SIGHUP}}]
    depends_on: {{store: {{condition: service_healthy}}}}
  store:
    image: app
    command: [busybox, sh, -c, "touch /tmp/well; while :; do echo tick; busybox sleep 0.5; done"]
    stop_signal: SIGKILL
    restart: always
    mem_limit: {memory}m
    volumes: [own:/own]
    healthcheck: {{test: [CMD, busybox, test, -e, /tmp/well], interval: 1s, retries: 2, start_period: 30s}}
  worker:
    image: app
    command: [busybox, sh, -c, "while :; do echo $$HOSTNAME works; busybox sleep 0.2; done"]
    stop_signal: SIGKILL
    restart: always
    scale: {workers}
    logging: {{options: {{max-size: 100k, max-file: "2"}}}}
    networks: [default]
"""


@dataclass
class SoakStack:
    """One of the stacks. `port` is where its web answers."""

    name: str
    directory: Path
    port: int
    webs: int = 5
    workers: int = 4
    memory: int = 64
    colour: int = 0
    content: str = "first"
    generation: int = 0

    @property
    def count(self) -> int:
        """Containers that it has when it is up."""
        return self.webs + self.workers + 1

    def rest(self) -> None:
        """As many replicas as at first, for samples that can be compared; what else was changed stays."""
        self.webs, self.workers = SoakStack.webs, SoakStack.workers
        self.write()

    def write(self) -> None:
        """Write its file as it is now."""
        self.directory.mkdir(exist_ok=True)
        text = _TEXT.format(**{key: value for key, value in vars(self).items() if key != "directory"})
        (self.directory / "stack.yaml").write_text(text)

    def change(self, chance: Random) -> None:
        """Change one thing of the file; ten containers stay ten."""
        match chance.choice(("replicas", "memory", "colour", "content", "image")):
            case "replicas":
                self.webs = chance.randint(3, 7)
                self.workers = 9 - self.webs
            case "memory":
                self.memory = chance.choice((48, 64, 96))
            case "colour":
                self.colour += 1
            case "content":
                self.content = f"page {chance.randrange(1000)}"
            case "image":
                self.generation += 1
        self.write()
