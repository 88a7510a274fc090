from __future__ import annotations

import pytest

from stackfile.language.quoting import quoted_line


@pytest.mark.parametrize(
    ("line", "column", "fixed"),
    [
        ("  image: {{ values.x }}:1  # c", 9, '  image: "{{ values.x }}:1"  # c'),
        ("image: app:{{ values.tag }}", 11, 'image: "app:{{ values.tag }}"'),
        ("ports: [{{ values.p }}:80, '3']", 8, "ports: [\"{{ values.p }}:80\", '3']"),
        ("a: {b: {{ c }}, d: 1}", 7, 'a: {b: "{{ c }}", d: 1}'),
        ("- {{ x }}", 2, '- "{{ x }}"'),
        ('command: echo {{ x }} "y"', 14, "command: 'echo {{ x }} \"y\"'"),
        ("{% for x in y %}", 0, '"{% for x in y %}"'),
    ],
)
def test_the_value_is_put_in_quotes(line: str, column: int, fixed: str) -> None:
    assert quoted_line(line) == (column, fixed)


@pytest.mark.parametrize("line", ['a: "{{ b }}"', "a: '{{ b }}'", "a: b # {{ c }}", "a: {b: c}"])
def test_quoted_and_commented_templates_are_left_alone(line: str) -> None:
    assert quoted_line(line) is None
