"""Digests as OCI writes them (`algorithm:hex`, OCI image-spec descriptor.md#digests)."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from typing import Any

_FORM = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


def sha256(data: bytes) -> str:
    """Digest of `data` as `sha256:<hex>`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def is_digest(text: str) -> bool:
    """Whether `text` is a well-formed digest of an algorithm we verify."""
    return _FORM.fullmatch(text) is not None


def canonical(value: Any) -> bytes:
    """Canonical JSON of plain data (RFC 8785 for the values we use: no floats)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def keyed(key: bytes, data: bytes) -> str:
    """HMAC-SHA256 of `data`: how content of secrets and configs is known without being guessable."""
    return "hmac:" + hmac.new(key, data, hashlib.sha256).hexdigest()
