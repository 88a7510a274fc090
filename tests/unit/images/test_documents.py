"""OCI documents: the same image gives the same bytes, and reading gives back what was written."""

from __future__ import annotations

import json

import pytest

from stackfile.digest import sha256
from stackfile.errors import ActionError
from stackfile.images import documents
from stackfile.model.image import HistoryEntry, ImageConfig
from stackfile.model.stack import SECOND, Healthcheck

CONFIG = ImageConfig(
    entrypoint=(),
    command=("python3", "web.py"),
    environment=("A=1", "B="),
    user="1000:1000",
    working_dir="/app",
    labels={"k": "v"},
    exposed_ports=("8000/tcp",),
    volumes=("/data",),
    stop_signal="SIGINT",
    healthcheck=Healthcheck(test=("CMD", "true"), interval=2 * SECOND),
    shell=("/bin/bash", "-c"),
)
DIFF = sha256(b"layer")


def test_there_and_back() -> None:
    history = (HistoryEntry(created_by="copy a b"), HistoryEntry(created_by="env A=1", empty_layer=True))
    data = documents.encode_config(CONFIG, [DIFF], history)
    assert documents.decode_config(data) == (CONFIG, (DIFF,), history)
    assert documents.encode_config(CONFIG, [DIFF], history) == data


def test_words_of_the_specification() -> None:
    document = json.loads(documents.encode_config(CONFIG, [DIFF], ()))
    assert document["rootfs"] == {"type": "layers", "diff_ids": [DIFF]}
    assert document["config"]["ExposedPorts"] == {"8000/tcp": {}}
    assert document["config"]["Entrypoint"] == []
    assert document["config"]["Healthcheck"]["Interval"] == 2 * SECOND
    assert "created" not in document
    manifest = json.loads(documents.encode_manifest(b"config", [(DIFF, 10)]))
    assert manifest["layers"] == [{"mediaType": documents.LAYER, "digest": DIFF, "size": 10}]
    assert manifest["config"]["digest"] == sha256(b"config")


def test_nothing_is_null() -> None:
    assert json.loads(documents.encode_config(ImageConfig(), [], ()))["config"] == {}
    assert documents.decode_config(documents.encode_config(ImageConfig(), [], ()))[0] == ImageConfig()


def test_chain_ids() -> None:
    one, two = sha256(b"1"), sha256(b"2")
    assert documents.chain_ids([]) == []
    assert documents.chain_ids([one]) == [one]
    assert documents.chain_ids([one, two]) == [one, sha256(f"{one} {two}".encode())]


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"rootfs": {"diff_ids": ["../x"]}}', b'{"rootfs": 3}'])
def test_malformed(data: bytes) -> None:
    with pytest.raises(ActionError) as caught:
        documents.decode_config(data)
    assert caught.value.reason == "bad-archive"
