"""Manifests and blobs: what is fetched is what was named, whatever the network does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from stackfile.errors import ActionError
from stackfile.images import manifests, references
from stackfile.images.manifests import Descriptor
from stackfile.model.image import RegistryAuth
from stackfile.registry.endpoint import Policy
from stackfile.registry.repository import Repository
from stackfile.registry.session import Session
from tests.unit.registry.kit import Answer, Request, Server, serve

BLOB = bytes(range(256)) * 4000


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def described(data: bytes = BLOB, size: int | None = None) -> Descriptor:
    return Descriptor(media_type="x", digest=digest_of(data), size=len(data) if size is None else size)


@contextmanager
def repository(answer: Callable[[Request], Answer]) -> Iterator[tuple[Repository, Server]]:
    with serve(answer) as server:
        session = Session(server.host, Policy(), RegistryAuth(), sleep=lambda _: None)
        with closing(session):
            yield Repository(session, references.parse(f"{server.host}/team/app:1")), server


def ranged(request: Request) -> Answer:
    """A server that knows ranges."""
    start = int(request.headers.get("Range", "bytes=0-")[6:-1])
    if not start:
        return Answer(body=BLOB)
    return Answer(206, BLOB[start:], {"Content-Range": f"bytes {start}-{len(BLOB) - 1}/{len(BLOB)}"})


# ---------------------------------------------------------------- manifests


def test_manifest() -> None:
    data = b'{"schemaVersion": 2}'
    headers = {"Content-Type": "application/x; charset=utf-8", "Docker-Content-Digest": digest_of(data)}
    with repository(lambda _: Answer(body=data, headers=headers)) as (made, server):
        found = made.manifest("1")
        assert (found.digest, found.data, found.media_type) == (digest_of(data), data, headers["Content-Type"])
        assert [request.path for request in server.seen if request.path != "/v2/"] == ["/v2/team/app/manifests/1"]
        assert manifests.ACCEPTED in server.seen[-1].headers["Accept"]


def test_manifest_that_is_another_one() -> None:
    for headers, name in (({"Docker-Content-Digest": digest_of(b"other")}, "1"), ({}, digest_of(b"other"))):
        with (
            repository(lambda _, headers=headers: Answer(body=b"{}", headers=headers)) as (made, _),  # type: ignore[misc]
            pytest.raises(ActionError) as caught,
        ):
            made.manifest(name)
        assert caught.value.reason == "digest-mismatch"


def test_manifest_that_is_missing_or_without_end() -> None:
    for answer, reason in ((Answer(404), "image-not-found"), (Answer(400), "pull-failed"),
                           (Answer(body=b" " * (manifests.LARGEST + 1)), "bad-archive")):  # fmt: skip
        with repository(lambda _, answer=answer: answer) as (made, _), pytest.raises(ActionError) as caught:  # type: ignore[misc]
            made.manifest("1")
        assert caught.value.reason == reason


def test_document() -> None:
    with repository(lambda _: Answer(body=b"config")) as (made, _):
        assert made.document(described(b"config")) == b"config"
        for wrong, reason in ((described(b"confix"), "digest-mismatch"), (described(b"config", 3), "bad-archive")):
            with pytest.raises(ActionError) as caught:
                made.document(wrong)
            assert caught.value.reason == reason


# ---------------------------------------------------------------- blobs


def test_download(tmp_path: Path) -> None:
    told: list[int] = []
    with repository(ranged) as (made, _):
        made.download(described(), f"{tmp_path}/blob", told.append)
    assert (tmp_path / "blob").read_bytes() == BLOB
    assert told == sorted(told)
    assert told[-1] == len(BLOB)


def test_a_broken_download_goes_on_where_it_broke(tmp_path: Path) -> None:
    breaks = iter((100_000, 50_000, 300_000))

    def answer(request: Request) -> Answer:
        whole = ranged(request)
        size = next(breaks, None)
        if size is None or request.path == "/v2/":
            return whole
        return Answer(whole.status, whole.body[:size], whole.headers, length=len(whole.body))

    with repository(answer) as (made, server):
        made.download(described(), f"{tmp_path}/blob", lambda _: None)
        ranges = [request.headers["Range"] for request in server.seen if "Range" in request.headers]
        assert ranges[-1] == f"bytes={sum((100_000, 50_000, 300_000)[: len(ranges)])}-"
    assert (tmp_path / "blob").read_bytes() == BLOB


@pytest.mark.parametrize("how", ["whole", "refused", "elsewhere"])
def test_a_server_that_knows_no_ranges(tmp_path: Path, how: str) -> None:
    broken = [False]

    def answer(request: Request) -> Answer:
        if not broken[0] and "blobs" in request.path:
            broken[0] = True
            return Answer(200, BLOB[:1000], length=len(BLOB))
        if "Range" in request.headers and how == "refused":
            return Answer(416)
        if "Range" in request.headers and how == "elsewhere":
            return Answer(206, BLOB, {"Content-Range": f"bytes 0-{len(BLOB) - 1}/{len(BLOB)}"})
        return Answer(body=BLOB)

    with repository(answer) as (made, _):
        made.download(described(), f"{tmp_path}/blob", lambda _: None)
    assert (tmp_path / "blob").read_bytes() == BLOB


def test_a_download_without_progress_ends(tmp_path: Path) -> None:
    with repository(lambda _: Answer(length=len(BLOB))) as (made, _), pytest.raises(ActionError) as caught:
        made.download(described(), f"{tmp_path}/blob", lambda _: None)
    assert caught.value.reason == "registry-unreachable"


@pytest.mark.parametrize(("sent", "reason"), [(BLOB[:-1] + b"x", "digest-mismatch"), (BLOB + b"more", "bad-archive")])
def test_a_download_of_something_else(tmp_path: Path, sent: bytes, reason: str) -> None:
    with repository(lambda _: Answer(body=sent)) as (made, _), pytest.raises(ActionError) as caught:
        made.download(described(), f"{tmp_path}/blob", lambda _: None)
    assert caught.value.reason == reason
