"""Finding template syntax that should have been in quotes, and the line as it should be."""

from __future__ import annotations

import re

_MARK = re.compile(r"\{\{|\{%")
_KEY = re.compile(r"""\s*(?:-\s+)*(?:[^\s"'{\[#&*!|>][^:#"'{]*:\s+)?""")
_COMMENT = re.compile(r"\s+#.*$")


def quoted_line(line: str) -> tuple[int, str] | None:
    """(column from 0 of the first unquoted `{{` or `{%`, the line with the value in quotes), or None."""
    for match in _MARK.finditer(line):
        if _is_plain(line, match.start()):
            return match.start(), _quote(line, match.start())
    return None


def _is_plain(line: str, column: int) -> bool:
    """Whether `column` is outside quotes and comments."""
    quote = ""
    for index, char in enumerate(line[:column]):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'" and (index == 0 or line[index - 1] in " \t[{,:"):
            quote = char
        elif char == "#" and (index == 0 or line[index - 1] in " \t"):
            return False
    return not quote


def _quote(line: str, column: int) -> str:
    start = _start_of_value(line, column)
    body = line[start:]
    end = len(_COMMENT.sub("", body).rstrip()) if "#" in body else len(body.rstrip())
    value, rest = body[:end], body[end:]
    closing = _flow_end(value) if _in_flow(line[:start]) else len(value)
    value, rest = value[:closing], value[closing:] + rest
    quote = '"' if '"' not in value else "'"
    return f"{line[:start]}{quote}{value}{quote}{rest}"


def _start_of_value(line: str, column: int) -> int:
    """Where the scalar that contains `column` begins: after the key, or after `[`, `,` or `- `."""
    match = _KEY.match(line)
    start = match.end() if match and match.end() <= column else 0
    for index in range(start, column):
        if line[index] in "[{," or (line[index] == ":" and line[index + 1 : index + 2] == " "):
            start = index + 1
    while start < column and line[start] == " ":
        start += 1
    return start


def _in_flow(before: str) -> bool:
    return before.count("[") + before.count("{") > before.count("]") + before.count("}")


def _flow_end(value: str) -> int:
    """End of a scalar inside a flow collection: at `,`, `]` or `}` outside the template's own braces."""
    index = 0
    while index < len(value):
        if value.startswith(("{{", "{%"), index):
            closing = value.find("}}" if value[index + 1] == "{" else "%}", index)
            index = len(value) if closing < 0 else closing + 2
        elif value[index] in ",]}":
            return index
        else:
            index += 1
    return len(value)
