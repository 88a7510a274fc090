"""A real registry (Debian's docker-registry) of a test's own, and how a test fills it."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.peers import need

CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def encode(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


@dataclass
class Registry:
    """A running registry. `push_*` speak plain HTTP to it."""

    host: str
    log: Path
    scheme: str = "http"
    auth: tuple[str, str] | None = None
    ca: str = ""
    storage: Path = field(default_factory=Path)

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        answer = requests.request(
            method, f"{self.scheme}://{self.host}{path}", auth=self.auth, verify=self.ca or True, timeout=20, **options
        )
        answer.raise_for_status()
        return answer

    def push_blob(self, repository: str, data: bytes) -> dict[str, Any]:
        where = self.request("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
        path = "/" + where.split("://", 1)[-1].split("/", 1)[1]
        self.request("PUT", f"{path}&digest={digest_of(data)}", data=data)
        return {"digest": digest_of(data), "size": len(data)}

    def push_manifest(self, repository: str, name: str, value: dict[str, Any]) -> dict[str, Any]:
        data = encode(value)
        self.request(
            "PUT", f"/v2/{repository}/manifests/{name}", data=data, headers={"Content-Type": value["mediaType"]}
        )
        return {"mediaType": value["mediaType"], "digest": digest_of(data), "size": len(data)}

    def push_image(
        self, repository: str, name: str, layers: list[tuple[bytes, bytes, str]], *, kind: str = MANIFEST, **config: Any
    ) -> dict[str, Any]:
        """Layers are (tar, as it is sent, media type). Returns the manifest's descriptor."""
        document = {
            "architecture": "amd64", "os": "linux", "created": "2020-01-02T03:04:05Z",
            "rootfs": {"type": "layers", "diff_ids": [digest_of(tar) for tar, _, _ in layers]}, "config": {}, **config,
        }  # fmt: skip
        oci = kind == MANIFEST
        config_type = CONFIG if oci else "application/vnd.docker.container.image.v1+json"
        return self.push_manifest(
            repository,
            name,
            {
                "schemaVersion": 2,
                "mediaType": kind,
                "config": {"mediaType": config_type, **self.push_blob(repository, encode(document))},
                "layers": [{"mediaType": media, **self.push_blob(repository, sent)} for _, sent, media in layers],
            },
        )

    def requests_for(self, text: str) -> int:
        """How often the access log has a GET whose path holds `text`."""
        return sum("GET /v2/" in line and text in line for line in self.log.read_text().splitlines())


@contextlib.contextmanager
def registry(directory: Path, *, tls: bool = False, users: dict[str, str] | None = None,
             token: dict[str, str] | None = None) -> Iterator[Registry]:  # fmt: skip
    """Start one on a free port of 127.0.0.1, with its storage below `directory`.

    `tls` with a certificate of an own CA; `users` for basic authentication; `token` (realm, service, issuer,
    rootcertbundle) for bearer tokens.
    """
    directory.mkdir(parents=True, exist_ok=True)
    program, port = need("docker-registry"), free_port()
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"accesslog": {"disabled": False}, "level": "warn"},
        "storage": {"filesystem": {"rootdirectory": f"{directory}/storage"}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    ca = ""
    if tls:
        ca = certificate(directory)
        config["http"]["tls"] = {"certificate": f"{directory}/server.pem", "key": f"{directory}/server.key"}
    if users:
        (directory / "htpasswd").write_text("".join(f"{name}:{_bcrypt(word)}\n" for name, word in users.items()))
        config["auth"] = {"htpasswd": {"realm": "test", "path": f"{directory}/htpasswd"}}
    if token:
        config["auth"] = {"token": token}
    (directory / "config.yml").write_text(json.dumps(config))
    log = directory / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program, "serve", f"{directory}/config.yml"],
            stdout=out, stderr=out, env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"},
        )  # fmt: skip
    made = Registry(
        f"127.0.0.1:{port}", log, "https" if tls else "http", next(iter((users or {}).items()), None), ca,
        directory / "storage",
    )  # fmt: skip
    try:
        _wait(made, process)
        yield made
    finally:
        process.terminate()
        process.wait(10)


def _wait(made: Registry, process: subprocess.Popen[bytes]) -> None:
    host, _, port = made.host.partition(":")
    for _ in range(200):
        assert process.poll() is None, made.log.read_text()
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
            return
        time.sleep(0.05)
    raise AssertionError(made.log.read_text())


def _bcrypt(word: str) -> str:
    """By libcrypt, which every Debian has; Python's module of it is gone since 3.13."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    return str(crypt(word.encode(), b"$2y$05$abcdefghijklmnopqrstuu").decode())


def certificate(directory: Path) -> str:
    """A CA and a certificate of 127.0.0.1 and localhost signed by it; path of the CA's certificate."""
    openssl = need("openssl")

    def run(*args: str) -> None:
        subprocess.run([openssl, *args], cwd=directory, check=True, capture_output=True)

    (directory / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test CA", "-days", "2")
    run("req", *curve, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=127.0.0.1")
    run("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-out", "server.pem", "-days", "2", "-extfile", "names")  # fmt: skip
    return f"{directory}/ca.pem"
