"""Images, their names, and what goes when they go."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackfile import digest as digests
from stackfile.errors import ActionError, ConflictError, NotFoundError
from stackfile.images.layers import Layer
from stackfile.images.store import ImageStore
from stackfile.model.image import ImageConfig, ImageRecord
from tests.unit.images.kit import add_layer, open_store

pytestmark = pytest.mark.root


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ImageStore]:
    with open_store(tmp_path / "state") as store:
        yield store


def add(store: ImageStore, *texts: str, tags: tuple[str, ...] = (), user: str = "") -> ImageRecord:
    layers: list[Layer] = []
    for text in texts:
        layers.append(add_layer(store, text, layers[-1].chain_id if layers else ""))
    return store.add(ImageConfig(user=user), layers, tags=tags)


def test_names(store: ImageStore) -> None:
    image = add(store, "a", tags=("q/app",))
    assert image.tags == ("docker.io/q/app:latest",)
    for ref in ("q/app", "q/app:latest", "docker.io/q/app", image.id, image.id[7:], image.id[7:19], image.id[:20]):
        assert store.get(ref).id == image.id
    store.tag("q/app", "other:1")
    assert store.get("other:1").id == image.id
    store.untag("other:1")
    with pytest.raises(NotFoundError) as caught:
        store.get("other:1")
    assert caught.value.reason == "image-not-found"


@pytest.mark.parametrize("ref", ["nowhere", "sha256:" + "0" * 64, "abc", "q/app:v9", "q/app@sha256:" + "0" * 64])
def test_unknown(store: ImageStore, ref: str) -> None:
    add(store, "a", tags=("q/app",))
    with pytest.raises(NotFoundError) as caught:
        store.get(ref)
    assert caught.value.reason == "image-not-found"


def test_malformed_name(store: ImageStore) -> None:
    with pytest.raises(ActionError) as caught:
        store.get("NOT A NAME")
    assert caught.value.reason == "bad-request"


def test_by_digest_of_the_manifest(store: ImageStore) -> None:
    image = add(store, "a", tags=("q/app",))
    assert store.get(f"q/app@{image.manifest}").id == image.id


def test_adding_again_is_the_same_image(store: ImageStore) -> None:
    first = add(store, "a", tags=("x",))
    assert add(store, "a", tags=("y",)).created == first.created
    assert len(store.list()) == 1


def test_a_name_moves(store: ImageStore) -> None:
    old, new = add(store, "a", tags=("x",)), add(store, "b", tags=("x",))
    assert store.get("x").id == new.id
    assert store.get(old.id).tags == ()
    assert store.prune() == [("deleted", old.id)]


def test_lower_is_topmost_first(store: ImageStore) -> None:
    image = add(store, "a", "b")
    assert [Path(directory, "f").read_text() for directory in store.lower(image.id)] == ["b", "a"]


def test_removing_keeps_shared_layers(store: ImageStore) -> None:
    base, top = add(store, "a", tags=("base",)), add(store, "a", "b", tags=("top",))
    assert store.remove("top") == [("untagged", "docker.io/library/top:latest"), ("deleted", top.id)]
    assert len(store.lower(base.id)) == 1
    assert len(list(store.layers.list())) == 1
    store.remove("base")
    store.sweep()
    assert list(store.layers.list()) == []
    assert list(store.blobs.list()) == []
    assert os.listdir(store.paths.temporary) == []


def test_removing_one_of_several_names(store: ImageStore) -> None:
    image = add(store, "a", tags=("x", "y"))
    assert store.remove("x") == [("untagged", "docker.io/library/x:latest")]
    store.tag("y", "x")
    with pytest.raises(ConflictError) as caught:
        store.remove(image.id)
    assert caught.value.reason == "in-use"
    assert len(store.remove(image.id, force=True)) == 3


def test_an_image_in_use_stays(store: ImageStore) -> None:
    image = add(store, "a", tags=("x",))
    with pytest.raises(ConflictError) as caught:
        store.remove("x", in_use={image.id: ["web-1"]})
    assert caught.value.reason == "in-use"
    assert store.remove("x", force=True, in_use={image.id: ["web-1"]}) == [("untagged", "docker.io/library/x:latest")]
    assert store.lower(image.id)
    assert store.prune(in_use={image.id}) == []


def test_leases_keep_what_a_build_needs(store: ImageStore) -> None:
    image = add(store, "a", tags=("x",))
    store.lease(image.layers[0])
    store.remove("x")
    assert store.layers.has(image.layers[0])
    assert store.blobs.has(image.layers[0])
    store.release([image.layers[0]])
    store.recover()
    assert list(store.blobs.list()) == []


def test_recover_clears_what_nobody_refers_to(store: ImageStore) -> None:
    image = add(store, "a")
    orphan = add_layer(store, "orphan")
    kept, lost = store.blobs.put([b"kept"]), store.blobs.put([b"lost"])
    store.layers.stage()
    store.recover(keep_blobs={kept})
    assert not store.layers.has(orphan.chain_id)
    assert not store.blobs.has(lost)
    assert store.blobs.has(kept)
    assert os.listdir(store.paths.temporary) == []
    assert store.lower(image.id)


def test_a_damaged_image_says_so(store: ImageStore) -> None:
    image = add(store, "a")
    store.layers.remove(image.layers[0])
    with pytest.raises(NotFoundError) as caught:
        store.lower(image.id)
    assert "build it again" in caught.value.hint


# ---------------------------------------------------------------- what comes from elsewhere


def document(*diff_ids: str, **more: object) -> bytes:
    plain = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": list(diff_ids)}, **more}
    return json.dumps(plain).encode()


def test_an_image_from_elsewhere_keeps_its_id_and_what_it_says(store: ImageStore) -> None:
    layer = add_layer(store, "a")
    text = document(layer.diff_id, created="2020-01-02T03:04:05Z", variant="v8", unknown={"kept": True})
    name = "docker.io/library/app@sha256:" + "1" * 64
    record = store.add_document(text, [layer.size], tags=["app:1"], digests_of=[name])
    assert record.id == digests.sha256(text)
    assert (record.created, record.variant, record.size) == ("2020-01-02T03:04:05Z", "v8", layer.size)
    assert store.blobs.read(record.id) == text
    assert store.get("app@sha256:" + "1" * 64).id == record.id
    assert record.pulled
    again = store.add_document(text, [layer.size], tags=["app:2"])
    assert (again.tags, again.digests) == (("docker.io/library/app:1", "docker.io/library/app:2"), (name,))
    store.remove("app:1")
    store.remove("app:2")
    assert list(store.blobs.list()) == []


def test_layers_of_a_pull_under_way_outlive_a_restart(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = add_layer(store, "a")
    store.begin_pull("sha256:" + "2" * 64, [layer.diff_id])
    store.recover()
    assert store.layers.has(layer.chain_id)
    assert store.blobs.has(layer.diff_id)
    monkeypatch.setattr("time.time", lambda: 4e9)
    store.recover()
    assert not store.layers.has(layer.chain_id)
    assert not store.blobs.has(layer.diff_id)


def test_prune_gives_up_pulls_but_not_those_that_hold_leases(store: ImageStore) -> None:
    kept, dropped = add_layer(store, "a"), add_layer(store, "b")
    for number, layer in enumerate((kept, dropped)):
        store.begin_pull(f"sha256:{number:064x}", [layer.diff_id])
    for digest in (kept.diff_id, kept.chain_id):
        store.lease(digest)
    store.prune()
    assert store.layers.has(kept.chain_id)
    assert not store.layers.has(dropped.chain_id)


def test_a_pull_that_ended_keeps_nothing_alive(store: ImageStore) -> None:
    layer = add_layer(store, "a")
    store.begin_pull("sha256:" + "2" * 64, [layer.diff_id])
    store.end_pull("sha256:" + "2" * 64)
    store.recover()
    assert not store.layers.has(layer.chain_id)
