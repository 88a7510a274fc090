"""The stack files of the repository, and one that uses most of the language."""

from __future__ import annotations

import os
from pathlib import Path

from stackfile.errors import Place
from stackfile.language import LoadOptions, load
from stackfile.model.stack import SecretRef
from tests.unit.language.memory import errors_of_files, load_files

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_quickstart() -> None:
    directory = str(EXAMPLES / "quickstart")
    stack = load(LoadOptions(directory=directory, environ={}))
    assert (stack.name, stack.environment, stack.directory) == ("quickstart", "dev", directory)
    assert list(stack.services) == ["web", "worker-mail", "worker-thumbnails", "store"]
    assert stack.groups == {"worker": ("worker-mail", "worker-thumbnails")}
    assert stack.images["app"].base_is_stack_image
    web = stack.services["web"]
    assert (web.replicas, [v.environment["REPLICA"] for v in web.variants]) == (2, ["1", "2"])
    assert web.environment["STORE_TOKEN"] == SecretRef("store_token")
    assert stack.configs["web_conf"].content == 'greeting = "Hello"\nenvironment = "dev"\n'
    assert stack.secrets["store_token"].generate is not None
    assert list(stack.networks) == ["default"]


def test_quickstart_in_production() -> None:
    stack = load(LoadOptions(directory=str(EXAMPLES / "quickstart"), environ={}, environment="prod"))
    assert [port.published for port in stack.services["web"].ports] == [80]
    assert (stack.services["web"].replicas, stack.services["store"].resources.memory) == (4, 512 << 20)
    assert "Welcome" in (stack.configs["web_conf"].content or "")


def test_places_are_those_of_the_file() -> None:
    path = EXAMPLES / "quickstart/stack.yaml"
    lines = path.read_text().splitlines()
    stack = load(LoadOptions(directory=os.fspath(path.parent), environ={}))

    def text_at(place: Place) -> str:
        return lines[place.line - 1][place.column - 1 :]

    level = stack.origins["service.worker-mail/environment/LOG_LEVEL"]
    assert text_at(level.at).startswith('"{{ values.log_level }}"')
    assert text_at(level.via[0].at).startswith("info")
    assert text_at(stack.origins["service.web/mem_limit"].at).startswith("64m")
    assert text_at(stack.origins["service.web"].at).startswith("web:")


PLATFORM = """\
name: platform
values:
  domain: localhost
  tag: "1.10"
  defaults: {replicas: 1, memory: 128m, jobs: true}
  teams:
    red: {owner: platform}
    navy: {owner: platform, jobs: false}
values_schema:
  properties:
    teams:
      additionalProperties:
        required: [owner]
        additionalProperties: false
        properties:
          owner: {type: string}
          replicas: {type: integer, minimum: 0}
          memory: {type: string, pattern: "^[0-9]+[mg]$"}
          jobs: {type: boolean}
environments:
  dev: {default: true, profiles: [debug]}
  prod: environments/prod.yaml
images:
  api: {from: scratch}
  cache: {from: "registry.example:5000/redis:7"}
x-hardened: &hardened
  read_only: true
  cap_drop: [ALL]
  restart: unless-stopped
services:
  api:
    <<: *hardened
    for_each: "{{ values.teams }}"
    image: api
    environment:
      TEAM: "{{ each.key }}"
      SENTRY_DSN: "{{ env.SENTRY_DSN | default(omit) }}"
      DATABASE_URL: {secret: "db_url-{{ each.key }}"}
      TAG: "{{ values.tag }}"
    networks: {default: {}, "team-{{ each.key }}": {}}
    configs: [{source: shard, target: /etc/shard.json}]
    depends_on: {"cache-{{ each.key }}": {condition: service_started}}
    deploy:
      replicas: "{{ each.value.replicas | default(values.defaults.replicas) }}"
      resources: {limits: {memory: "{{ each.value.memory | default(values.defaults.memory) }}"}}
    labels:
      edge.host: "{{ each.key }}.{{ values.domain }}"
  cache:
    <<: *hardened
    for_each: "{{ values.teams }}"
    image: cache
    tmpfs: [/data]
    networks: ["team-{{ each.key }}"]
  jobs:
    <<: *hardened
    for_each: "{{ values.teams }}"
    when: "{{ each.value.jobs | default(values.defaults.jobs) }}"
    image: api
    depends_on: ["api-{{ each.key }}"]
  metrics:
    image: registry.example:5000/prometheus:v3
    configs: [{source: scrape, target: /etc/prometheus.yml, on_change: SIGHUP}]
    depends_on: [api]
  shell: {image: api, profiles: [debug]}
networks:
  default: {}
  team: {for_each: "{{ values.teams }}", internal: true}
configs:
  shard: {content: '{"shard": {{ replica.index - 1 }}, "of": {{ replica.count }}}'}
  scrape: {file: conf/prometheus.yml.j2, template_driver: jinja}
secrets:
  db_password: {for_each: "{{ values.teams }}", generate: {length: 32}}
  db_url:
    for_each: "{{ values.teams }}"
    content: "postgres://{{ each.key }}:{{ secrets['db_password-' ~ each.key] }}@db/{{ each.key }}"
"""
PROD = """\
values:
  domain: example.com
  teams:
    red: {replicas: 3, memory: 1g}
    navy: !reset null
services:
  api: {user: "1000"}
  metrics: {ports: !override ["127.0.0.1:9090:9090"]}
"""
SCRAPE = "scrape_configs:\n{% for team in values.teams %}  - api-{{ team }}\n{% endfor %}"
FILES = {"stack.yaml": PLATFORM, "environments/prod.yaml": PROD, "conf/prometheus.yml.j2": SCRAPE}


def test_a_platform() -> None:
    stack = load_files(FILES)
    assert list(stack.services) == [
        "api-red", "api-navy", "cache-red", "cache-navy", "jobs-red", "metrics", "shell",
    ]  # fmt: skip
    red = stack.services["api-red"]
    assert red.environment == {"TEAM": "red", "DATABASE_URL": SecretRef("db_url-red"), "TAG": "1.10"}
    assert (red.read_only, red.cap_drop, red.labels) == (True, ("ALL",), {"edge.host": "red.localhost"})
    assert list(stack.services["metrics"].depends_on) == ["api-red", "api-navy"]
    assert stack.secrets["db_url-navy"].content == ("postgres://navy:", SecretRef("db_password-navy"), "@db/navy")
    assert stack.configs["scrape"].content == "scrape_configs:\n  - api-red\n  - api-navy\n"


def test_a_platform_in_production() -> None:
    stack = load_files(FILES, environment="prod")
    red = stack.services["api-red"]
    assert (red.replicas, red.resources.memory, red.user) == (3, 1 << 30, "1000")
    assert [v.files[0].content for v in red.variants][2] == '{"shard": 2, "of": 3}'
    assert (red.counts_replicas, "api-navy" in stack.services, "shell" in stack.services) == (True, False, False)


def test_mistakes_in_two_files_are_reported_together() -> None:
    files = {**FILES, "environments/prod.yaml": PROD.replace("user:", "usr:")}
    files["stack.yaml"] = PLATFORM.replace("on_change: SIGHUP", "on_chnge: SIGHUP")
    assert errors_of_files(files, environment="prod") == [
        ("unknown-key", "environments/prod.yaml", 7, 9),
        ("unknown-key", "stack.yaml", 62, 61),
    ]


STACKS = Path(__file__).with_name("stacks")
"""Stacks as people write them; their images are in registries and need a network."""


def test_a_platform_of_29_services() -> None:
    found = {}
    for environment in ("", "staging", "prod"):
        stack = load(LoadOptions(directory=str(STACKS / "platform"), environ={}, environment=environment))
        found[stack.environment] = len(stack.services)
    assert found == {"dev": 30, "staging": 23, "prod": 29}
    assert stack.services["edge"].mounts[0].source == str(STACKS / "edge" / "dynamic")
    assert list(stack.services["metrics"].depends_on) == [name for name in stack.services if name.startswith("api-")]
    assert stack.services["api-red"].depends_on["data/postgres"].condition == "service_healthy"
    assert [port.host_ip for port in stack.services["metrics"].ports] == ["127.0.0.1"]
    assert (stack.configs["scrape"].content or "").count("job_name") == 9


def test_a_compose_file_with_templates_of_others() -> None:
    stack = load(LoadOptions(directory=str(STACKS / "compose"), environ={"PROXY_PORT": "80"}))
    assert stack.services["proxy"].log.options["tag"] == "{{.Name}}"
    assert "Host $host;" in (stack.configs["proxy_conf"].content or "")
    assert (stack.services["web"].replicas, stack.services["proxy"].ports[0].published) == (2, 80)
