"""The canonical form: defaults left out, hashes pinned."""

from __future__ import annotations

import json
from pathlib import Path

from stackfile import wire
from stackfile.model.container import ContainerSpec
from stackfile.model.stack import Port, SecretRef
from tests.unit.wire import golden

PINNED = json.loads((Path(__file__).parent / "golden_specs.json").read_text())


def test_hashes_of_fifty_specs_stay_what_they_are() -> None:
    assert [wire.spec_hash(spec) for spec in golden.specs()] == PINNED


def test_the_fifty_differ() -> None:
    assert len(set(PINNED)) == len(PINNED) == 50


def test_defaults_are_left_out_at_every_depth_and_the_version_is_kept() -> None:
    spec = ContainerSpec(ports=(Port(target=80),), environment={"A": SecretRef("s"), "B": None})
    assert wire.compact(spec) == {
        "spec_version": 1,
        "ports": [{"target": 80}],
        "environment": {"A": {"secret": "s"}, "B": None},
    }


def test_order_of_keys_does_not_matter() -> None:
    one, two = ContainerSpec(labels={"a": "1", "b": "2"}), ContainerSpec(labels={"b": "2", "a": "1"})
    assert wire.canonical(one) == wire.canonical(two)


def test_a_decoded_spec_has_the_same_hash() -> None:
    for spec in golden.specs():
        assert wire.spec_hash(wire.decode(wire.encode(spec), ContainerSpec)) == wire.spec_hash(spec)
