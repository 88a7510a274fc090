"""HTTP to one registry: TLS or not, who we are, redirects, retries.

Nothing here follows a redirect blindly: Authorization goes to the registry itself alone, never to where it keeps its
blobs, and no answer leads from TLS to plain HTTP on a host that may not speak it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

import stackfile
from stackfile.errors import ActionError
from stackfile.model.image import RegistryAuth
from stackfile.registry.authorization import Authorization
from stackfile.registry.endpoint import Policy, host_of

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0
ATTEMPTS = 5

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 10
_AGAIN = (408, 429, 500, 502, 503, 504)
_LONGEST_WAIT = 10.0
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


class Session:
    """One conversation with the registry of `domain`, as who `auth` says. May be used by several threads."""

    def __init__(
        self,
        domain: str,
        policy: Policy,
        auth: RegistryAuth,
        *,
        stop: threading.Event | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.host = host_of(domain)
        self.stop = stop or threading.Event()
        """Set by whoever does not want it any more: what is under way ends with ActionError (`cancelled`)."""
        self._policy = policy
        self._sleep = sleep
        self._http = requests.Session()
        # No ~/.netrc, no proxies of the environment: the daemon's environment is not the caller's.
        self._http.trust_env = False
        self._http.headers["User-Agent"] = f"stackfile/{stackfile.__version__}"
        self._http.verify = policy.ca or next((path for path in _BUNDLES if os.path.exists(path)), True)
        for prefix in ("https://", "http://"):
            self._http.mount(prefix, HTTPAdapter(pool_maxsize=8))
        self._authorization = Authorization(auth, self._token_request)
        self._base = ""
        self._lock = threading.Lock()

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, *, scope: str, headers: dict[str, str] | None = None) -> requests.Response:
        """GET `path` (below the registry's root), with retries; the answer streams, close it.

        An answer that says no (404, 416, …) is returned, but for ActionError `registry-denied` (401, 403),
        `registry-unreachable`, `pull-failed` (it kept failing), `cancelled`.
        """
        for attempt in range(ATTEMPTS):
            last = attempt == ATTEMPTS - 1
            try:
                response = self._once(self.base() + path, scope, headers or {})
            except (requests.ConnectionError, requests.Timeout) as e:
                if last or isinstance(e, requests.exceptions.SSLError) or (attempt and _nobody_there(e)):
                    raise self._unreachable(e) from e
                self.wait(attempt)
                continue
            if response.status_code not in _AGAIN:
                return self._permitted(response)
            response.close()
            if last:
                raise ActionError("pull-failed", f"registry {self.host} failed", cause=f"HTTP {response.status_code}")
            self.wait(attempt, response.headers.get("Retry-After", ""))
        raise AssertionError("unreachable")

    def wait(self, attempt: int, asked: str = "") -> None:
        """Before the next attempt: as long as was asked for, else 0.2, 0.4, 0.8 … seconds."""
        seconds = float(asked) if asked.isdecimal() else 0.2 * 2**attempt
        deadline = min(seconds, _LONGEST_WAIT)
        while deadline > 0 and not self.stop.is_set():
            step = min(deadline, 0.2)
            self._sleep(step)
            deadline -= step
        self.check()

    def check(self) -> None:
        """ActionError (`cancelled`) once nobody wants the result."""
        if self.stop.is_set():
            raise ActionError("cancelled", "the transfer was cancelled")

    # ---- where

    def base(self) -> str:
        """`https://host`; `http://host` where that is allowed and all that the registry speaks."""
        with self._lock:
            if not self._base:
                self._base = self._probe()
            return self._base

    def _probe(self) -> str:
        secure = f"https://{self.host}"
        if not self._policy.allows_http(self.host):
            return secure
        try:
            self._http.get(f"{secure}/v2/", timeout=(CONNECT_TIMEOUT, READ_TIMEOUT), allow_redirects=False).close()
        except requests.exceptions.SSLError as e:
            if "CERTIFICATE_VERIFY_FAILED" in str(e):
                raise self._unreachable(e) from e
            return f"http://{self.host}"
        except (requests.ConnectionError, requests.Timeout):
            return f"http://{self.host}"
        return secure

    # ---- one request

    def _once(self, url: str, scope: str, headers: dict[str, str]) -> requests.Response:
        self.check()
        response = self._redirected(url, {**headers, **self._authorization.header(scope)})
        if response.status_code != 401 or self._origin(response.url) != self._origin(self.base()):
            return response
        challenge = response.headers.get("WWW-Authenticate", "")
        response.close()
        if not self._authorization.answer(challenge, scope):
            return response
        return self._redirected(url, {**headers, **self._authorization.header(scope)})

    def _redirected(self, url: str, headers: dict[str, str]) -> requests.Response:
        home = self._origin(url)
        for _ in range(_MOST_REDIRECTS):
            if self._origin(url) != home:
                headers = {name: value for name, value in headers.items() if name != "Authorization"}
            response = self._http.get(
                url, headers=headers, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT), stream=True, allow_redirects=False
            )
            if response.status_code not in _REDIRECTS or "Location" not in response.headers:
                return response
            response.close()
            url = self._next(url, response.headers["Location"])
        raise ActionError("pull-failed", f"registry {self.host} redirects without end")

    def _next(self, url: str, location: str) -> str:
        target = urljoin(url, location)
        parts = urlsplit(target)
        if parts.scheme == "https" or (parts.scheme == "http" and self._policy.allows_http(parts.netloc)):
            return target
        raise ActionError(
            "pull-failed",
            f"registry {self.host} redirects to an address without TLS",
            cause=f"{parts.scheme}://{parts.netloc}",
            hint="STACKFILE_INSECURE_REGISTRIES names hosts that may do so",
        )

    def _token_request(
        self, url: str, parameters: dict[str, str], basic: tuple[str, str] | None, form: bool
    ) -> requests.Response:
        """A request to a token service. Raises requests' own errors."""
        parts = urlsplit(url)
        if parts.scheme != "https" and not self._policy.allows_http(parts.netloc):
            raise ActionError("registry-denied", f"registry {self.host} names a token service without TLS", cause=url)
        timeout = (CONNECT_TIMEOUT, READ_TIMEOUT)
        if form:
            return self._http.post(url, data=parameters, timeout=timeout, allow_redirects=False)
        return self._http.get(url, params=parameters, auth=basic, timeout=timeout, allow_redirects=False)

    def _permitted(self, response: requests.Response) -> requests.Response:
        if response.status_code not in (401, 403):
            return response
        response.close()
        known = self._authorization.known
        raise ActionError(
            "registry-denied",
            f"registry {self.host} denies access",
            cause="the credentials do not suffice" if known else "it asks for credentials, or there is no such image",
            hint="" if known else f"stackfile login {self.host}",
        )

    def _unreachable(self, error: Exception) -> ActionError:
        hint = ""
        if isinstance(error, requests.exceptions.SSLError):
            hint = "STACKFILE_REGISTRY_CA names its CA's certificate; STACKFILE_INSECURE_REGISTRIES allows plain HTTP"
        return ActionError("registry-unreachable", f"registry {self.host} cannot be reached", cause=_root(error),
                           hint=hint)  # fmt: skip

    @staticmethod
    def _origin(url: str) -> tuple[str, str]:
        parts = urlsplit(url)
        return parts.scheme, parts.netloc.lower()


def _nobody_there(error: Exception) -> bool:
    """Whether there is no such host, or nothing listens: that does not pass within seconds."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _root(error: BaseException) -> str:
    """What the layers below requests said in the end, without their addresses of objects."""
    reason = error.args[0] if error.args else error
    inner = getattr(reason, "reason", reason)
    return str(inner).rpartition(">: ")[2] or type(error).__name__
