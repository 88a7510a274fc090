"""Variants of the corpus, made by hypothesis: the same verdict as the real Compose, or a rule says why not.

A value somewhere in a valid file becomes one of another type, goes, is there twice or under another name.
`COMPOSE_VARIANTS=3000` in the environment tries that many instead of the few of a test run, and others each time.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.compose import judge, known
from tests.compose.judge import Case, Verdict

pytestmark = pytest.mark.peer

WANTED = int(os.environ.get("COMPOSE_VARIANTS", "0"))
VALUES: list[Any] = [
    "", "a", "1", "-1", "1.5", "true", "no", "10s", "5m", "x=y", "a:b", "/a", "./a", "01", "b", "host", "all",
    0, 1, -1, 80, 1.5, 1e3, True, False, None, [], {}, ["a"], ["a", "a"], [1], [None], [{}], ["a=b"],
    {"a": "b"}, {"a": None}, {"a": 1}, {"a": ["b"]}, {"b": {}},
]  # fmt: skip
NAMES = ["a", "b", "bogus", "x-a", "1", "name", "default"]
TAILS = [":", "/", "x", " ", "$$", "-1", ",", "="]
Spot = tuple[str | int, ...]


class Loader(yaml.CSafeLoader):
    """Reads what needs no Compose rules to be read; our marks become nothing."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


@cache
def bases() -> list[tuple[str, Any]]:
    """The valid files of the corpus, as data."""
    found = []
    for case in judge.cases():
        if case.args[:1] != ("-f",) or len(case.args) > 2 or case.rejected or case.stricter or case.differs:
            continue
        documents = list(yaml.load_all((case.directory / case.args[1]).read_bytes(), Loader))
        found.append((case.name, json.loads(json.dumps(documents[0], default=str))))
    return found


def places(data: Any, path: Spot = ()) -> Iterator[Spot]:
    """Every place in `data` below its sections."""
    if len(path) > 1:
        yield path
    if isinstance(data, dict | list):
        for key in data if isinstance(data, dict) else range(len(data)):
            yield from places(data[key], (*path, key))


@st.composite
def variants(draw: st.DrawFn) -> str:
    """A valid file with one thing changed, as YAML."""
    _, base = draw(st.sampled_from(bases()))
    found = list(places(base))
    if not found:
        return json.dumps(base)
    data = copy.deepcopy(base)
    path = draw(st.sampled_from(found))
    parent = data
    for key in path[:-1]:
        parent = parent[key]
    last = path[-1]
    value = parent[last]
    change = draw(st.sampled_from(["value", "value", "value", "gone", "twice", "name", "tail"]))
    if change == "gone":
        del parent[last]
    elif change == "twice" and isinstance(parent, list):
        parent.append(copy.deepcopy(value))
    elif change == "name" and isinstance(parent, dict):
        del parent[last]
        parent[draw(st.sampled_from(NAMES))] = value
    elif change == "tail" and isinstance(value, str):
        parent[last] = value + draw(st.sampled_from(TAILS))
    else:
        parent[last] = draw(st.sampled_from(VALUES))
    return json.dumps(data)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("variants")


@settings(
    max_examples=WANTED or 60,
    derandomize=not WANTED,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(text=variants())
def test_variant(directory: Path, text: str) -> None:
    (directory / "compose.yaml").write_text(text)
    case = Case("variant", directory, (), judge.ENVIRONMENT | {"SET": "v"})
    theirs = judge.of_compose(case)
    if "goroutine " in theirs.error or "MarshalJSON" in theirs.error:
        return  # Compose crashed, or cannot print what it read: no verdict
    ours = judge.of_ours(case)
    if theirs.plain is None:
        assert not isinstance(ours, Verdict), f"Compose refuses it: {theirs.error}"
    elif isinstance(ours, Verdict):
        found = [line for line in judge.differences(theirs.plain, ours.plain) if not known.is_accident(line)]
        assert not found, "\n".join(found)
    else:
        unruled = [str(error) for error in ours if not any(rule.says(error) for rule in known.STRICTER.values())]
        assert not unruled, unruled
