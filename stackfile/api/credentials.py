"""Credentials for registries, as Docker's command line keeps them: `~/.docker/config.json`, its credential helpers.

Read with the caller's rights, for the registries of one request alone, and sent with it. Format: docker/cli,
`cli/config/configfile`; helpers: docker/docker-credential-helpers.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from stackfile.api.references import full_name, registry_of
from stackfile.errors import ActionError, UsageError
from stackfile.model.image import ImageRecord, RegistryAuth
from stackfile.model.stack import Stack

_HUB = "docker.io"
_HUB_KEY = "https://index.docker.io/v1/"
_HELPER = re.compile(r"[A-Za-z0-9._-]+")
_TIMEOUT = 30.0
_MISSING = "credentials not found in native keychain"
_TOKEN = "<token>"


class Credentials:
    """What a caller with these environment variables is known as."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        directory = environ.get("DOCKER_CONFIG") or f"{environ.get('HOME') or '/root'}/.docker"
        self.path = f"{directory}/config.json"

    def of_references(self, references: Iterable[str]) -> dict[str, RegistryAuth]:
        """By host, for the registries of these references; those without credentials are left out."""
        found = {host: self.get(host) for host in {registry_of(reference) for reference in references}}
        return {host: auth for host, auth in found.items() if auth != RegistryAuth()}

    def of_stack(self, stack: Stack, pull: str, here: Callable[[], Iterable[ImageRecord]]) -> dict[str, RegistryAuth]:
        """By host, for what an `up` or a `build` of this stack may pull; `here` gives the engine's images.

        Helpers take their time, so they are only asked about images that are not here, or pulled in any case. A
        Dockerfile may name any registry: with one, all credentials of the file go along, as `docker build` sends them.
        """
        if not os.path.exists(self.path):
            return {}
        always = pull == "always"
        known = {tag for record in here() for tag in record.tags}
        recipes = [image for image in stack.images.values() if image.build is None]
        wanted = {image.base for image in recipes if not image.base_is_stack_image} - {"scratch"}
        for service in stack.services.values():
            if not service.image_is_stack_image:
                wanted.add(service.image)
                always = always or service.pull_policy not in ("", "missing", "if_not_present", "never", "build")
        found = self.of_references(ref for ref in wanted if always or full_name(ref) not in known)
        if any(image.build is not None for image in stack.images.values()):
            auths = self._read().get("auths") or {}
            listed = {_HUB if key == _HUB_KEY else _host(key): entry for key, entry in auths.items() if entry}
            found = {**{host: _of_entry(entry, self.path) for host, entry in listed.items()}, **found}
        return found

    def get(self, host: str) -> RegistryAuth:
        """Raises UsageError (`bad-setting`) for a file that cannot be read, ActionError (`action-failed`) for a helper
        that fails.
        """
        config = self._read()
        helper = (config.get("credHelpers") or {}).get(host) or config.get("credsStore")
        if helper:
            answer = self._helper(str(helper), "get", _key(host))
            if answer is not None:
                return _of_helper(answer)
        return _of_entry(_entry(config.get("auths") or {}, host), self.path)

    def put(self, host: str, auth: RegistryAuth) -> None:
        """Remember, in a helper's store where one is configured. Errors as `get`."""
        config = self._read()
        helper = (config.get("credHelpers") or {}).get(host) or config.get("credsStore")
        entry: dict[str, str] = {}
        if helper:
            secret = {"ServerURL": _key(host), "Username": auth.username, "Secret": auth.password}
            self._helper(str(helper), "store", json.dumps(secret))
        else:
            entry["auth"] = base64.b64encode(f"{auth.username}:{auth.password}".encode()).decode()
        config.setdefault("auths", {})[_key(host)] = entry
        self._write(config)

    def forget(self, host: str) -> bool:
        """False where nothing was known. Errors as `get`."""
        config = self._read()
        helper = (config.get("credHelpers") or {}).get(host) or config.get("credsStore")
        known = [key for key in config.get("auths") or {} if _host(key) == _host(_key(host))]
        if helper:
            self._helper(str(helper), "erase", _key(host))
        for key in known:
            del config["auths"][key]
        if known:
            self._write(config)
        return bool(known)

    def _read(self) -> dict[str, Any]:
        try:
            with open(self.path, "rb") as file:
                config = json.load(file)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise UsageError("bad-setting", f"{self.path} cannot be read", cause=type(error).__name__) from error
        if not isinstance(config, dict):
            raise UsageError("bad-setting", f"{self.path} is not a JSON object")
        return config

    def _write(self, config: Mapping[str, Any]) -> None:
        directory = os.path.dirname(self.path)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        fd, fresh = tempfile.mkstemp(dir=directory)
        try:
            with open(fd, "w") as file:
                json.dump(config, file, indent="\t")
            os.rename(fresh, os.path.realpath(self.path))
        except BaseException:
            os.unlink(fresh)
            raise

    def _helper(self, name: str, verb: str, text: str) -> dict[str, Any] | None:
        """What a helper answers; None where it knows nothing."""
        import subprocess

        if not _HELPER.fullmatch(name):
            raise UsageError("bad-setting", f"{self.path} names a malformed credential helper")
        program = f"docker-credential-{name}"
        try:
            done = subprocess.run(
                [program, verb], input=text, capture_output=True, text=True, timeout=_TIMEOUT, env=dict(self._environ),
                check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ActionError("action-failed", f"{program} {verb} failed", cause=type(error).__name__) from error
        if done.returncode != 0:
            told = (done.stdout or done.stderr).strip()
            if _MISSING in told:
                return None
            raise ActionError("action-failed", f"{program} {verb} failed", cause=told[:200])
        try:
            answer = json.loads(done.stdout or "{}")
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise ActionError("action-failed", f"{program} {verb} does not answer with JSON")
        return answer


def _key(host: str) -> str:
    return _HUB_KEY if host == _HUB else host


def _host(key: str) -> str:
    """`https://host/v1/` as `host`."""
    return key.partition("://")[2].partition("/")[0] if "://" in key else key.partition("/")[0]


def _entry(auths: Mapping[str, Any], host: str) -> Mapping[str, Any]:
    wanted = _key(host)
    if wanted in auths:
        return auths[wanted] or {}
    return next((auths[key] or {} for key in auths if _host(key) == _host(wanted)), {})


def _of_helper(answer: Mapping[str, Any]) -> RegistryAuth:
    username, secret = str(answer.get("Username") or ""), str(answer.get("Secret") or "")
    if username == _TOKEN:
        return RegistryAuth(identity_token=secret)
    return RegistryAuth(username=username, password=secret)


def _of_entry(entry: Mapping[str, Any], path: str) -> RegistryAuth:
    username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if encoded := entry.get("auth"):
        try:
            username, _, password = base64.b64decode(str(encoded), validate=True).decode().partition(":")
        except (ValueError, binascii.Error) as error:
            raise UsageError("bad-setting", f"{path} has malformed credentials") from error
    return RegistryAuth(
        username=username,
        password=password.rstrip("\0"),
        identity_token=str(entry.get("identitytoken") or ""),
        registry_token=str(entry.get("registrytoken") or ""),
    )
