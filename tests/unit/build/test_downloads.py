"""Sources of ADD that are URLs, from a server of the test's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stackfile.build import downloads
from stackfile.errors import ActionError


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "www").mkdir()
    (tmp_path / "tmp").mkdir()
    (tmp_path / "www/a b.txt").write_text("content")
    handler = partial(_Quiet, directory=str(tmp_path / "www"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_fetched_and_gone(server: str, tmp_path: Path) -> None:
    digest = "sha256:" + sha256(b"content").hexdigest()
    for checksum in ("", digest):
        with downloads.fetched([f"{server}/a%20b.txt?x=1"], checksum, str(tmp_path)) as found:
            assert [(source.name, source.entry.mode, source.entry.digest) for source in found] == [
                ("a b.txt", 0o600, digest)
            ]
            assert isinstance(found[0].entry.content, str)
            assert Path(found[0].entry.content).read_text() == "content"
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "checksum", "reason"),
    [
        ("missing", "", "build-failed"),
        ("a%20b.txt", "sha256:" + "0" * 64, "digest-mismatch"),
        ("a%20b.txt", "md5:0", "build-failed"),
    ],
)
def test_failures(server: str, tmp_path: Path, name: str, checksum: str, reason: str) -> None:
    with pytest.raises(ActionError) as caught, downloads.fetched([f"{server}/{name}"], checksum, str(tmp_path)):
        pass
    assert caught.value.reason == reason


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    with pytest.raises(ActionError) as caught, downloads.fetched(["http://127.0.0.1:1/x"], "", str(tmp_path)):
        pass
    assert caught.value.reason == "build-failed"
