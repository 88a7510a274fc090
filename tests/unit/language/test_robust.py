"""Whatever the text, the outcome is a stack or errors of ours."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackfile.errors import ErrorList, StackfileError
from tests.unit.language.memory import load_text

RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

KEYS = [
    "name",
    "values",
    "values_schema",
    "environments",
    "images",
    "services",
    "networks",
    "volumes",
    "configs",
    "secrets",
    "a",
    "b",
    "for_each",
    "when",
    "image",
    "command",
    "environment",
    "ports",
    "target",
    "published",
    "configs",
    "source",
    "content",
    "generate",
    "length",
    "depends_on",
    "condition",
    "deploy",
    "replicas",
    "resources",
    "limits",
    "memory",
    "healthcheck",
    "test",
    "interval",
    "from",
    "steps",
    "run",
    "copy",
    "host",
    "default",
    "extends",
    "secret",
    "file",
    "external",
    "ipam",
    "config",
    "subnet",
    "ulimits",
    "nofile",
    "soft",
    "hard",
    "scale",
    "env_file",
    "path",
    "tmpfs",
    "restart",
    "x-y",
    "labels",
    "<<",
]
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 99999), st.floats(allow_nan=False, allow_infinity=False, width=16),
    st.sampled_from([
        "a", "b", "x:1", "80:80", "/d", "a:/d", "./x:/y", "64m", "10s", "{{ values.a }}", "{{ each.key }}",
        "{{ omit }}",
        "{{ replica.index }}x", "{{ values }}", "{{ [1, none, {}] }}", "{% if a %}", "{{", "${A:-b}", "${", "$",
        "${B?}",
        "{{ secrets.a }}", "service_healthy", "on-failure:3", "", "{{ values.a | tojson }}", "../x", "-", "NONE",
    ]),
)  # fmt: skip
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)),
    max_leaves=40,
)
SECTIONS = st.dictionaries(
    st.sampled_from(KEYS[:10]), st.dictionaries(st.sampled_from(["a", "b", "c-{{ each.key }}"]), TREES, max_size=3)
)


def outcome(text: str, **options: Any) -> None:
    """Load; an error must have a place, and be of the language."""
    try:
        load_text(text, **options)
    except StackfileError as error:
        for single in error.errors if isinstance(error, ErrorList) else (error,):
            assert single.exit_code == 3
            assert single.at is not None


@RELAXED
@given(st.text(alphabet="ab: {}[]-\n\"'%$&*!#|>,?<x\t~.0", max_size=120))
def test_any_text(text: str) -> None:
    outcome(text)


@RELAXED
@given(st.one_of(TREES, SECTIONS))
def test_any_tree(tree: Any) -> None:
    text = yaml.safe_dump(tree)
    outcome(text)
    outcome(text, name="compose.yaml")


@RELAXED
@given(st.text(alphabet="{}%$ab.|'\"()[]-+*~ \n#:0,=", max_size=60))
def test_any_template(text: str) -> None:
    expression = f"{{{{ {text} }}}}"
    outcome(yaml.safe_dump({"services": {"a": {"image": "x", "labels": {"l": expression}}}}))
    outcome(yaml.safe_dump({"services": {"a": {"image": text, "command": [text]}}}))


@RELAXED
@given(SECTIONS, SECTIONS)
def test_any_override(base: Any, over: Any) -> None:
    outcome(yaml.safe_dump({**base, "environments": {"e": over}}), environment="e")
