"""A token service (distribution's token specification) that a real registry trusts: JWTs signed with openssl."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.peers import need

ISSUER, SERVICE = "test issuer", "test registry"


@dataclass
class Tokens:
    """`asked` has the query of every request with its user ("" for nobody)."""

    directory: Path
    users: dict[str, str]
    port: int = 0
    asked: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)

    @property
    def realm(self) -> str:
        return f"http://127.0.0.1:{self.port}/token"

    def config(self) -> dict[str, str]:
        """What the registry needs to trust it."""
        bundle = f"{self.directory}/token.pem"
        return {"realm": self.realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": bundle}


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _token(directory: Path, access: list[dict[str, object]]) -> str:
    certificate = (directory / "token.pem").read_text()
    der = "".join(line for line in certificate.splitlines() if "-----" not in line)
    header = {"typ": "JWT", "alg": "RS256", "x5c": [der]}
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": "", "aud": SERVICE, "exp": now + 300, "nbf": now - 5, "iat": now, "jti": "1",
              "access": access}  # fmt: skip
    text = f"{_encode(json.dumps(header).encode())}.{_encode(json.dumps(claims).encode())}"
    signed = subprocess.run(
        [need("openssl"), "dgst", "-sha256", "-sign", "token.key"],
        input=text.encode(), capture_output=True, check=True, cwd=directory,
    ).stdout  # fmt: skip
    return f"{text}.{_encode(signed)}"


@contextlib.contextmanager
def tokens(directory: Path, users: dict[str, str]) -> Iterator[Tokens]:
    """Serve tokens on 127.0.0.1 to these users; to nobody, tokens that allow nothing."""
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "token.key", "-out", "token.pem",
         "-subj", "/CN=tokens", "-days", "2"], cwd=directory, check=True, capture_output=True,
    )  # fmt: skip
    made = Tokens(directory, users)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
            name, _, word = base64.b64decode(encoded).decode().partition(":") if scheme == "Basic" else ("", "", "")
            made.asked.append((name, query))
            if name and made.users.get(name) != word:
                self.send_error(401)
                return
            access: list[dict[str, object]] = []
            for scope in query.get("scope", []):
                kind, repository, actions = scope.split(":")
                allowed = actions.split(",") if name else []
                access.append({"type": kind, "name": repository, "actions": allowed})
            body = json.dumps({"token": _token(directory, access)}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
