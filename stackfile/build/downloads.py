"""Sources of `ADD` that are URLs. Runs in a worker process.

A file gets mode 0600 and the time that the server tells (Dockerfile reference, ADD). It is fetched when the step is
made: whether a server has something else today is asked with `--no-cache`, or by another checksum.
"""

from __future__ import annotations

import hashlib
import posixpath
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

from stackfile.build.copying import Source
from stackfile.errors import ActionError
from stackfile.images import durable
from stackfile.images.archive import Member
from stackfile.paths import StatePaths

_CHUNK = 1 << 20
_LARGEST = 16 << 30
_TIMEOUT = (20, 120)
"""Seconds to connect, and between two pieces of the answer."""


def is_url(source: str) -> bool:
    """Whether a source of ADD is fetched."""
    return source.startswith(("http://", "https://"))


@contextmanager
def fetched(urls: Sequence[str], checksum: str, root: str) -> Iterator[list[Source]]:
    """The files of `urls`, there as long as the block runs. ActionError (`build-failed`, `digest-mismatch`)."""
    if checksum and (len(urls) > 1 or not checksum.startswith("sha256:")):
        raise ActionError("build-failed", f"checksum {checksum}: it is sha256:… of one file")
    directory = durable.temporary_directory(StatePaths(root).temporary, "fetch-")
    try:
        yield [_fetch(url, checksum, f"{directory}/{number}") for number, url in enumerate(urls)]
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _fetch(url: str, checksum: str, path: str) -> Source:
    import requests

    name = posixpath.basename(unquote(urlsplit(url).path)) or "index"
    found = hashlib.sha256()
    size = 0
    try:
        with (
            requests.get(url, stream=True, timeout=_TIMEOUT) as answer,
            durable.full_disk(path),
            open(path, "xb") as file,
        ):
            answer.raise_for_status()
            for chunk in answer.iter_content(_CHUNK):
                size += len(chunk)
                if size > _LARGEST:
                    raise ActionError("build-failed", f"{url} is larger than {_LARGEST} bytes")
                found.update(chunk)
                file.write(chunk)
    except requests.RequestException as e:
        raise ActionError("build-failed", f"{url} cannot be fetched", cause=str(e)) from e
    digest = f"sha256:{found.hexdigest()}"
    if checksum and digest != checksum:
        raise ActionError("digest-mismatch", f"{url} is {digest}, not {checksum}")
    return Source(name=name, entry=Member(path=name, type="file", mode=0o600, size=size, content=path, digest=digest))
