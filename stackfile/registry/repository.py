"""Manifests and blobs of one repository (distribution-spec: pull)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass

import requests

from stackfile import digest as digests
from stackfile.errors import ActionError, NotFoundError
from stackfile.images import durable, manifests
from stackfile.images.manifests import Descriptor
from stackfile.images.references import Reference
from stackfile.registry.session import ATTEMPTS, Session

_CHUNK = 1 << 18
_FAILURES = (requests.RequestException, OSError)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A manifest or an index: its verified digest, its media type as the registry said, its text."""

    digest: str
    media_type: str
    data: bytes


class Repository:
    """One repository of a registry. May be used by several threads."""

    def __init__(self, session: Session, reference: Reference) -> None:
        self._session = session
        self._reference = reference
        self._path = f"/v2/{reference.path}"
        self._scope = f"repository:{reference.path}:pull"

    def manifest(self, name: str) -> Fetched:
        """By tag or digest. NotFoundError (`image-not-found`), ActionError (`digest-mismatch`, `pull-failed`, and as
        `Session.get`).
        """
        response = self._session.get(
            f"{self._path}/manifests/{name}", scope=self._scope, headers={"Accept": manifests.ACCEPTED}
        )
        with response:
            self._check(response, f"manifest {name}")
            data = self._body(response, manifests.LARGEST)
            said = response.headers.get("Docker-Content-Digest", "")
            expected = name if digests.is_digest(name) else said
            if expected and digests.is_digest(expected) and not digests.matches(expected, data):
                raise ActionError("digest-mismatch", f"the manifest of {self._reference.familiar} is not {expected}")
            digest = expected if digests.is_digest(expected) else digests.sha256(data)
            return Fetched(digest, response.headers.get("Content-Type", ""), data)

    def document(self, descriptor: Descriptor) -> bytes:
        """A small blob: a config. Errors as `manifest`."""
        if descriptor.size > manifests.LARGEST:
            raise ActionError("bad-archive", f"blob {descriptor.digest} is too large for a document")
        with self._blob(descriptor, 0) as response:
            self._check(response, f"blob {descriptor.digest}")
            data = self._body(response, descriptor.size)
        if not digests.matches(descriptor.digest, data):
            raise ActionError("digest-mismatch", f"blob {descriptor.digest} is not what its name says")
        return data

    def download(self, descriptor: Descriptor, path: str, told: Callable[[int], None]) -> None:
        """Write a blob to the new file `path`, verified; `told` hears how many bytes are here.

        A connection that breaks is taken up where it broke, as long as there is progress. ActionError
        (`digest-mismatch`, `bad-archive` when it is larger than was said, `disk-full`, and as `Session.get`).
        """
        with durable.full_disk(path), open(path, "xb", buffering=0) as file:
            download = _Download(file.fileno(), descriptor, told, self._session.check)
            failures = 0
            while True:
                before = download.size
                try:
                    self._continue(download, descriptor)
                    break
                except requests.RequestException as e:
                    failures = 0 if download.size > before else failures + 1
                    if failures >= ATTEMPTS:
                        raise ActionError(
                            "registry-unreachable",
                            f"blob {descriptor.digest} of {self._reference.familiar} breaks off",
                            cause=f"{download.size} of {descriptor.size} bytes, {type(e).__name__}",
                        ) from e
                    self._session.wait(failures)
            download.verify()

    def _continue(self, download: _Download, descriptor: Descriptor) -> None:
        if download.size == descriptor.size:
            return
        with self._blob(descriptor, download.size) as response:
            if response.status_code == 416:
                download.restart()
                raise requests.ConnectionError("the range is refused")
            self._check(response, f"blob {descriptor.digest}")
            if response.status_code != 206 or not _begins_at(response, download.size):
                download.restart()
            # Never decoded: the digest is of what is sent.
            while chunk := _read(response, _CHUNK):
                download.write(chunk)
        if download.size < descriptor.size:
            raise requests.ConnectionError("the answer is too short")

    def _blob(self, descriptor: Descriptor, start: int) -> requests.Response:
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        return self._session.get(f"{self._path}/blobs/{descriptor.digest}", scope=self._scope, headers=headers)

    def _check(self, response: requests.Response, what: str) -> None:
        if response.status_code in (200, 206, 416):
            return
        if response.status_code == 404:
            raise NotFoundError(
                "image", self._reference.familiar, reason="image-not-found", cause=f"{self._session.host}: no {what}"
            )
        raise ActionError("pull-failed", f"registry {self._session.host} answers {response.status_code} for {what}")

    def _body(self, response: requests.Response, limit: int) -> bytes:
        try:
            data = b""
            for chunk in response.iter_content(_CHUNK):
                data += chunk
                if len(data) > limit:
                    raise ActionError("bad-archive", f"registry {self._session.host} sends more than {limit} bytes")
        except requests.RequestException as e:
            raise ActionError(
                "registry-unreachable", f"registry {self._session.host} breaks off", cause=type(e).__name__
            ) from e
        return data


class _Download:
    """A file that grows, and its hash."""

    def __init__(self, fd: int, descriptor: Descriptor, told: Callable[[int], None], check: Callable[[], None]) -> None:
        self.size = 0
        self._fd = fd
        self._descriptor = descriptor
        self._told = told
        self._check = check
        self._hash = self._fresh()

    def _fresh(self) -> hashlib._Hash:
        return hashlib.new(self._descriptor.digest.partition(":")[0])

    def restart(self) -> None:
        os.lseek(self._fd, 0, os.SEEK_SET)
        os.truncate(self._fd, 0)
        self._hash, self.size = self._fresh(), 0

    def write(self, chunk: bytes) -> None:
        self._check()
        self.size += len(chunk)
        if self.size > self._descriptor.size:
            raise ActionError("bad-archive", f"blob {self._descriptor.digest} is larger than its manifest says")
        self._hash.update(chunk)
        durable.write_all(self._fd, chunk)
        self._told(self.size)

    def verify(self) -> None:
        if self._hash.hexdigest() != self._descriptor.digest.partition(":")[2]:
            raise ActionError("digest-mismatch", f"blob {self._descriptor.digest} is not what its name says")


def _begins_at(response: requests.Response, offset: int) -> bool:
    if response.status_code != 206:
        return offset == 0
    return response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")


def _read(response: requests.Response, size: int) -> bytes:
    """The next bytes as they are sent. Raises requests.ConnectionError where urllib3 says that it broke."""
    import urllib3

    try:
        return response.raw.read(size, decode_content=False)
    except (urllib3.exceptions.HTTPError, OSError) as e:
        raise requests.ConnectionError(str(e)) from e
