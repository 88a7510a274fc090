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


def matches(digest: str, data: bytes) -> bool:
    """Whether `data` is what a well-formed digest says."""
    return hashlib.new(digest.partition(":")[0], data).hexdigest() == digest.partition(":")[2]


def canonical(value: Any) -> bytes:
    """Canonical JSON of plain data (RFC 8785 for the values we use: no floats)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def jcs(value: Any) -> bytes:
    """Canonical JSON by RFC 8785 (keys sorted by UTF-16 code units), for documents that leave this program.

    Holds for whole numbers and short decimals, which is all that we write.
    """
    return json.dumps(_in_order(value), separators=(",", ":"), ensure_ascii=False).encode()


def _in_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_order(value[key]) for key in sorted(value, key=lambda text: text.encode("utf-16-be"))}
    if isinstance(value, list | tuple):
        return [_in_order(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def keyed(key: bytes, data: bytes) -> str:
    """HMAC-SHA256 of `data`: how content of secrets and configs is known without being guessable."""
    return "hmac:" + hmac.new(key, data, hashlib.sha256).hexdigest()
