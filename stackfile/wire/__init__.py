"""JSON of model, plan and errors: what crosses a process border, and the canonical form that hashes are made of.

What belongs here: turning the frozen dataclasses of `model` into bytes and back. What does not: deciding anything.
"""

from __future__ import annotations

from stackfile.wire.canonical import canonical, compact, spec_hash
from stackfile.wire.codec import decode, encode, from_plain, prepare, to_plain
from stackfile.wire.errors import error_from_plain, error_to_plain
from stackfile.wire.plans import document_digest, from_document, read_plan, to_document

__all__ = [
    "canonical",
    "compact",
    "decode",
    "document_digest",
    "encode",
    "error_from_plain",
    "error_to_plain",
    "from_document",
    "from_plain",
    "prepare",
    "read_plan",
    "spec_hash",
    "to_document",
    "to_plain",
]
