"""The schema of stack files says what the parsers read."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from stackfile import language
from stackfile.cli import main
from stackfile.errors import ErrorCollector
from stackfile.language import environments, expand, source
from stackfile.language.nodes import Mapping, Node, Scalar, Sequence, Template
from stackfile.language.normalise import context
from stackfile.language.normalise.image import STEPS
from stackfile.language.pipeline import TOP_KEYS
from tests.unit.language.memory import load_text

ROOT = Path(__file__).parents[3]
SCHEMA: dict[str, Any] = json.loads((ROOT / "schemas/stack.schema.json").read_text())
DEFINITIONS = SCHEMA["$defs"]

# Everything that opens a mapping of its own, so that each kind of mapping is read at least once.
SAMPLE = """\
images:
  i: {from: scratch, steps: [{host: {programs: a}}, {copy: {source: a, target: /}}, {healthcheck: {test: a}}]}
services:
  a:
    image: x
    env_file: [{path: e, required: false}]
    ports: [{target: 80}]
    volumes: [{target: /v}]
    secrets: [{source: s}]
    networks: {n: {priority: 1}}
    depends_on: {b: {restart: true}}
    healthcheck: {}
    ulimits: {nofile: {soft: 1, hard: 2}}
    deploy: {resources: {limits: {}, reservations: {}}, restart_policy: {}, update_config: {}}
    devices: [{source: /dev/null}]
    post_start: [{command: x}]
    logging: {}
    blkio_config: {weight_device: [{path: /dev/a, weight: 10}], device_read_bps: [{path: /dev/a, rate: 1}]}
  b: {image: x}
networks: {n: {ipam: {config: [{subnet: 10.0.0.0/24}]}}}
volumes: {v: {}}
configs: {c: {content: x}}
secrets: {s: {content: x}, g: {generate: {length: 5}}}
"""


@pytest.fixture(scope="module")
def read() -> dict[str, set[str]]:
    """What a mapping is called → the keys that its parser reads."""
    found: dict[str, set[str]] = {}
    finish = context.Fields.finish

    def recording(self: context.Fields, unsupported: Any = ()) -> None:
        found.setdefault(self.what, set()).update(self._seen)
        finish(self, unsupported)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context.Fields, "finish", recording)
        load_text(SAMPLE)
    return found


def keys(*path: str) -> set[str]:
    """Properties of a definition of the schema, or of something inside it, without those of loops."""
    node: Any = DEFINITIONS[path[0]]
    for name in path[1:]:
        node = mapping_in(node["properties"][name])
        assert node is not None
    return set(node["properties"]) - {"for_each", "when"}


def mapping_in(node: Any) -> Any:
    """The mapping with known keys that a value may be, or of which it may be a list."""
    if "properties" in node:
        return node
    if "$ref" in node:
        return mapping_in(DEFINITIONS[node["$ref"].rpartition("/")[2]])
    choices = [node["items"]] if "items" in node else node.get("anyOf", [])
    return next(filter(None, map(mapping_in, choices)), None)


@pytest.mark.parametrize(
    ("what", "path"),
    [
        ("service a", ("service",)), ("image i", ("image",)), ("network n", ("network",)), ("volume v", ("volume",)),
        ("healthcheck", ("healthcheck",)), ("a port", ("port",)), ("a volume", ("mount",)),
        ("bind", ("mount", "bind")), ("volume", ("mount", "volume")), ("tmpfs", ("mount", "tmpfs")),
        ("a secret reference", ("file",)), ("depends_on b", ("dependency",)),
        ("deploy", ("deploy",)), ("deploy.resources", ("deploy", "resources")),
        ("deploy.resources.limits", ("deploy", "resources", "limits")),
        ("deploy.resources.reservations", ("deploy", "resources", "reservations")),
        ("deploy.restart_policy", ("deploy", "restart_policy")), ("host", ("step", "host")),
        ("copy", ("step", "copy")), ("ipam", ("network", "ipam")), ("ipam.config", ("network", "ipam", "config")),
        ("generate", ("secret", "generate")), ("a rollout", ("rollout",)), ("a device", ("device",)),
        ("a hook", ("hook",)), ("logging", ("service", "logging")), ("blkio_config", ("service", "blkio_config")),
        ("blkio weight", ("device_weight",)), ("blkio read_bps", ("device_rate",)),
    ],
)  # fmt: skip
def test_the_schema_has_the_keys_that_are_read(read: dict[str, set[str]], what: str, path: tuple[str, ...]) -> None:
    # The attachment of a service to a network has the same name in messages as the network.
    also = keys("attachment") if what == "network n" else set()
    # Nothing more is read of a service that has a provider.
    assert keys(*path) - {"provider"} | also == read[what]


def test_env_files(read: dict[str, set[str]]) -> None:
    assert keys("service", "env_file") == read["env_file"]


def test_resources_with_content(read: dict[str, set[str]]) -> None:
    also = {"external", "labels", "name", "template_driver"}
    assert keys("config") == {"content", "file", "environment"} | also
    assert keys("secret") == {"content", "file", "environment", "generate", "command", "driver", "driver_opts"} | also
    assert read["config c"] <= keys("config")
    assert read["secret s"] <= keys("secret")


def test_the_top_level_and_the_tables() -> None:
    assert set(SCHEMA["properties"]) == TOP_KEYS
    assert set(DEFINITIONS["environment"]["properties"]) == environments.KEYS
    assert keys("step") == set(STEPS)
    assert set(DEFINITIONS["service"]["properties"]) >= expand.REPLICA_KEYS


def test_everything_is_described() -> None:
    def undescribed(node: Any, path: str) -> list[str]:
        found: list[str] = []
        if isinstance(node, dict):
            # What has no type is a condition on keys that are described elsewhere.
            for name, child in node.get("properties", {}).items() if "type" in node else ():
                target = DEFINITIONS[child["$ref"].rpartition("/")[2]] if "$ref" in child else child
                described = "description" in child or "description" in target or "properties" in child
                found += [] if described else [f"{path}/{name}"]
            for key, child in node.items():
                found += undescribed(child, f"{path}/{key}") if key not in ("examples", "if", "then", "not") else []
        elif isinstance(node, list):
            for child in node:
                found += undescribed(child, path)
        return found

    assert undescribed(SCHEMA, "") == []


def _plain(node: Node) -> Any:
    if isinstance(node, Mapping):
        return {key: _plain(child) for key, child in node.entries.items()}
    if isinstance(node, Sequence):
        return [_plain(item) for item in node.items]
    return node.text if isinstance(node, Template) else node.value


@pytest.mark.parametrize(
    "text", [SAMPLE, pytest.param((ROOT / "examples/quickstart/stack.yaml").read_text(), id="quickstart")]
)
def test_valid_files_are_valid(text: str) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    tree = source.parse(text.encode(), "f", ErrorCollector())
    assert tree is not None
    assert list(Draft202012Validator(SCHEMA).iter_errors(_plain(tree))) == []


def test_spellings_that_are_read_are_valid() -> None:
    text = (
        "services: {a: {image: x, tty: 'y', init: '1', mem_limit: .5m, memswap_limit: -1, stop_grace_period: +5s, "
        "volumes: [{type: image, source: y, target: /i}]}}"
    )
    load_text(text)
    tree = source.parse(text.encode(), "f", ErrorCollector())
    assert tree is not None
    assert list(Draft202012Validator(SCHEMA).iter_errors(_plain(tree))) == []


@pytest.mark.parametrize(
    "text", ["services: {a: {image: x, comand: y}}", "srvices: {}", "services: {a: {}}", "images: {i: {steps: []}}"]
)
def test_invalid_files_are_not(text: str) -> None:
    tree = source.parse(text.encode(), "f", ErrorCollector())
    assert tree is not None
    assert not isinstance(tree, Scalar)
    assert not Draft202012Validator(SCHEMA).is_valid(_plain(tree))


def test_the_package_carries_it(capsys: pytest.CaptureFixture[str]) -> None:
    """A real file in the package (a link here) whose name is package data: an installed stackfile prints it too."""
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA
    carried = Path(language.__file__).with_name("stack.schema.json")
    assert carried.resolve() == ROOT / "schemas/stack.schema.json"
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["stackfile"]
    assert carried in {path for pattern in patterns for path in (ROOT / "stackfile").glob(pattern)}


def _parts(node: Any) -> Iterator[dict[str, Any]]:
    """Every mapping inside the schema that has examples."""
    if isinstance(node, dict):
        if isinstance(node.get("examples"), list):
            yield node
        for key, child in node.items():
            if key != "examples":
                yield from _parts(child)
    elif isinstance(node, list):
        for child in node:
            yield from _parts(child)


def test_its_examples_are_right_by_itself() -> None:
    assert SCHEMA["$id"] == "urn:stackfile:schema:stack:1"
    found = list(_parts(SCHEMA))
    assert len(found) > 150
    for part in found:
        validator = Draft202012Validator({**part, "$defs": DEFINITIONS})
        for example in part["examples"]:
            assert validator.is_valid(example), (part.get("description"), example)
