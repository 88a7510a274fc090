"""Lock files: the same bytes for the same content, and mistakes at their places."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from stackfile.errors import ErrorList, StackfileError
from stackfile.language.lockfile import parse, render
from stackfile.model.lock import Lock, LockedImage

A, B = "sha256:" + "a" * 64, "sha512:" + "b" * 128
TEXT = f"""\
version: 1
images:
  127.0.0.1:5000/b/c:1.10:
    digest: {A}
    platforms: [linux/amd64, linux/arm64/v8]
  docker.io/library/a:latest:
    digest: {B}
"""


SCHEMA = Path(__file__).parents[3] / "schemas" / "lock.schema.json"


def test_the_schema_says_the_same() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    for text in (TEXT, render(Lock()), "version: 2", "version: 1\nimage: {}", "images: {}",
                 "version: 1\nimages: {a: {}}", "version: 1\nimages: {a: {digest: sha256:1}}"):  # fmt: skip
        try:
            parse(text.encode(), "stack.lock")
            accepted = True
        except StackfileError:
            accepted = False
        assert validator.is_valid(yaml.safe_load(text)) == accepted, text


def test_what_is_written_is_read_again() -> None:
    images = {
        "docker.io/library/a:latest": LockedImage(digest=B),
        "127.0.0.1:5000/b/c:1.10": LockedImage(digest=A, platforms=("linux/amd64", "linux/arm64/v8")),
    }
    text = render(Lock(images=images))
    assert text.endswith(TEXT)
    assert parse(text.encode(), "stack.lock").images == images
    assert parse(render(Lock()).encode(), "stack.lock") == Lock()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [("not-a-mapping", 1, 1)]),
        ("version: 1\nimages:\n  a: {digest: [", [("yaml-syntax", 4, 1)]),
        ("images: {}", [("missing-key", 1, 1)]),
        ("version: 2\nother: 1", [("bad-value", 1, 10)]),
        ("version: true", [("bad-value", 1, 10)]),
        ("version: 1\nimages: []", [("bad-type", 2, 9)]),
        ("version: 1\nimage: {}", [("unknown-key", 2, 1)]),
        ("version: 1\nimages:\n  a: x\n  b: {}\n", [("bad-type", 3, 6), ("missing-key", 4, 6)]),
        ("version: 1\nimages: {a: {digest: sha256:12}}", [("bad-value", 2, 22)]),
        (f"version: 1\nimages: {{a: {{digest: {A}, tag: 1}}}}", [("unknown-key", 2, 95)]),
        (f"version: 1\nimages: {{a: {{digest: {A}, platforms: x}}}}", [("bad-type", 2, 106)]),
        (f"version: 1\nimages:\n  a: {{digest: {A}}}\n  a: {{digest: {A}}}", [("duplicate-key", 4, 3)]),
    ],
)
def test_a_mistake_is_told_at_its_place(text: str, expected: list[tuple[str, int, int]]) -> None:
    with pytest.raises(StackfileError) as caught:
        parse(text.encode(), "stack.lock")
    found = caught.value.errors if isinstance(caught.value, ErrorList) else [caught.value]
    assert [(error.reason, error.at.line, error.at.column) for error in found if error.at] == expected
