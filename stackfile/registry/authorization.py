"""Who we are to a registry: basic, or bearer tokens from its token service, per scope.

Distribution's token authentication (GET with basic credentials) and OAuth2 (POST with a refresh token).
"""

from __future__ import annotations

import base64
import threading
from typing import Protocol

import requests

from stackfile.errors import ActionError
from stackfile.model.image import RegistryAuth
from stackfile.registry import challenge as challenges
from stackfile.registry.challenge import Challenge

_CLIENT = "stackfile"
_LONGEST_TOKEN = 1 << 16


class TokenRequest(Protocol):
    """Asks a token service: url, parameters, basic credentials, whether by POST as a form."""

    def __call__(
        self, url: str, parameters: dict[str, str], basic: tuple[str, str] | None, form: bool
    ) -> requests.Response: ...


class Authorization:
    """Answers challenges and remembers what worked. May be used by several threads."""

    def __init__(self, auth: RegistryAuth, request: TokenRequest) -> None:
        self._auth = auth
        self._request = request
        self._lock = threading.Lock()
        self._headers: dict[str, str] = {}
        """Scope → value of Authorization; "" is for every scope."""
        if auth.registry_token:
            self._headers[""] = f"Bearer {auth.registry_token}"

    @property
    def known(self) -> bool:
        """Whether there are credentials at all."""
        return self._auth != RegistryAuth()

    def header(self, scope: str) -> dict[str, str]:
        """The header of a request in `scope`, where something is known."""
        with self._lock:
            value = self._headers.get(scope) or self._headers.get("")
        return {"Authorization": value} if value else {}

    def answer(self, header: str, scope: str) -> bool:
        """React to a 401: True when it is worth to ask again. ActionError (`registry-denied`,
        `registry-unreachable`) when the token service refuses or fails.
        """
        for challenge in challenges.parse(header):
            if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
                token = self._token(challenge, scope)
                with self._lock:
                    self._headers[scope] = f"Bearer {token}"
                return True
            if challenge.scheme == "basic" and self._auth.username:
                pair = f"{self._auth.username}:{self._auth.password}".encode()
                value = "Basic " + base64.b64encode(pair).decode()
                with self._lock:
                    again = self._headers.get("") != value
                    self._headers[""] = value
                return again
        return False

    def _token(self, challenge: Challenge, scope: str) -> str:
        realm = challenge.parameters["realm"]
        wanted = {"service": challenge.parameters.get("service", ""), "scope": scope}
        parameters = {name: value for name, value in wanted.items() if value}
        basic = (self._auth.username, self._auth.password) if self._auth.password else None
        form = bool(self._auth.identity_token)
        if form:
            basic = None
            parameters |= {
                "grant_type": "refresh_token",
                "refresh_token": self._auth.identity_token,
                "client_id": _CLIENT,
            }
        try:
            response = self._request(realm, parameters, basic, form)
        except requests.RequestException as e:
            # The error's text may hold the request's parameters.
            raise ActionError("registry-unreachable", f"token service {realm} cannot be reached",
                              cause=type(e).__name__) from e  # fmt: skip
        return _read(response, realm)


def _read(response: requests.Response, realm: str) -> str:
    if response.status_code != 200:
        raise ActionError("registry-denied", f"token service {realm} refuses", cause=f"HTTP {response.status_code}")
    try:
        answer = response.json()
        token = answer.get("token") or answer.get("access_token")
    except (ValueError, AttributeError):
        token = None
    if not isinstance(token, str) or not 0 < len(token) < _LONGEST_TOKEN or not token.isprintable():
        raise ActionError("registry-denied", f"token service {realm} gives no token")
    return token
