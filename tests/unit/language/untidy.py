"""Writes YAML as people do: other indentation at every level, blanks, comments, flow over several lines, blocks."""

from __future__ import annotations

import random

WORDS = ("a", "web", "1.10", "yes", "x-y", "a b", "${A:-b}", "8080:80/tcp", "ü", "http://h:1/p#q", "0o10", "~")
QUOTED = ("a", "it's", 'q"q', "a: b", "# no", "{{ values.x }}", "", "- x", "tab\there", "${A:?no}", "a\\\\b")


class Untidy:
    """One file, by a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lines: list[str] = []
        self.anchors = 0
        self.known: list[str] = []
        self.keys = 0

    def text(self) -> str:
        self.comments(0)
        if self.chance(10):
            self.lines.append("---" + self.comment())
        self.mapping(0, 4)
        self.comments(0)
        return "\n".join(self.lines) + self.random.choice(("\n", "\n\n", "", "\n  \n"))

    def chance(self, percent: int) -> bool:
        return self.random.randrange(100) < percent

    def blanks(self, least: int = 1) -> str:
        return " " * (least if self.chance(70) else self.random.randint(least, 5))

    def comment(self) -> str:
        return self.blanks() + self.random.choice(("# c", "#c", "## 'x", "#: {a", "# - x", "#\ttab  ")) * self.chance(
            15
        )

    def comments(self, indent: int) -> None:
        """Lines between others: empty ones, and comments at any column."""
        while self.chance(20):
            line = " " * self.random.choice((indent, indent, 0, 3, indent + 2)) + self.comment().strip()
            self.lines.append(line if self.chance(70) else self.random.choice(("", "   ")))

    def key(self) -> str:
        self.keys += 1
        name = self.random.choice(("k", "a-b", "x.y", "é"))
        return self.random.choice(("{}", "{}", "'{}'", '"{}"')).format(f"{name}{self.keys}")

    def anchor(self) -> str:
        self.anchors += 1
        return f"&a{self.anchors}" + self.blanks() if self.chance(8) else ""

    def mapping(self, indent: int, depth: int, first: str = "") -> None:
        """Entries at `indent`; the first one behind `first` on its line."""
        for number in range(self.random.randint(1, 4)):
            start = first if first and not number else " " * indent
            if not (first and not number):
                self.comments(indent)
            self.value(f"{start}{self.key()}{self.blanks(0) if self.chance(10) else ''}:", indent, depth, False)

    def sequence(self, indent: int, depth: int) -> None:
        for _ in range(self.random.randint(1, 3)):
            self.comments(indent)
            dash = f"{' ' * indent}-{self.blanks()}"
            if depth and self.chance(30):
                self.mapping(len(dash), depth - 1, dash)
            else:
                self.value(dash.rstrip(), indent, depth, True)

    def value(self, start: str, indent: int, depth: int, in_list: bool) -> None:
        """What follows a key or a dash."""
        kind = self.random.randrange(100)
        inner = indent + self.random.randint(1, 5)
        if depth and kind < 25:
            self.lines.append(start + (" " + self.anchor()).rstrip() + self.comment())
            self.mapping(inner, depth - 1)
        elif depth and kind < 40:
            self.lines.append(start + (" " + self.anchor()).rstrip() + self.comment())
            self.sequence(indent if not in_list and self.chance(50) else inner, depth - 1)
        elif kind < 55:
            self.lines += (start + self.blanks() + self.anchor() + self.flow(2, inner)).split("\n")
            self.lines[-1] += self.comment()
        elif kind < 63:
            self.block(start, indent)
        elif kind < 68:
            self.lines.append(f'{start} "one \\')
            self.lines += [" " * inner + "two", "", " " * self.random.randint(indent + 1, indent + 12) + 'three  "']
        elif kind < 73:
            self.lines += [f"{start} one", " " * inner + "two # c"]
        elif kind < 78:
            self.lines.append(start + self.comment())
        elif kind < 82:
            self.lines += [start + self.comment(), " " * inner + self.scalar()]
        elif kind < 86:
            self.lines.append(f"{start} {self.random.choice(('!reset', '!override', '!!str'))} {self.scalar()}")
        else:
            anchor = self.anchor()
            self.lines.append(start + self.blanks() + anchor + self.scalar() + self.comment())
            self.known += ["*" + anchor.strip(" &")] if anchor else []

    def block(self, start: str, indent: int) -> None:
        explicit = self.random.randint(1, 4) if self.chance(30) else 0
        chomp = self.random.choice(("", "-", "+"))
        order = f"{explicit or ''}{chomp}" if self.chance(50) else f"{chomp}{explicit or ''}"
        self.lines.append(f"{start} {self.random.choice('|>')}{order}{self.comment()}")
        column = indent + (explicit or self.random.randint(1, 6))
        for number in range(self.random.randint(0, 4)):
            more = " " * self.random.randint(0, 2) if number or explicit else ""
            line = " " * column + more + self.random.choice(("text", "# no comment", "a: b", "- x  ", "\tx"))
            self.lines.append(line if self.chance(75) else self.random.choice(("", " " * indent)))

    def scalar(self) -> str:
        if self.chance(60):
            return self.random.choice(WORDS)
        text = self.random.choice(QUOTED)
        return "'" + text.replace("'", "''") + "'" if self.chance(50) else '"' + text.replace('"', '\\"') + '"'

    def flow(self, depth: int, column: int) -> str:
        """A flow collection, on one line or on several."""
        broken = self.chance(30)
        space = "\n" + " " * column if broken else " " * self.random.choice((0, 0, 1, 3))
        items = []
        mapping = self.chance(50)
        for _ in range(self.random.randint(0, 4)):
            item = self.flow(depth - 1, column + 1) if depth and self.chance(30) else self.quoted()
            items.append(f"{self.key()}{self.random.choice(('', ' '))}:{self.blanks()}{item}" if mapping else item)
        comma = f"{self.random.choice(('', ' '))},{self.comment() if broken else ''}{space or self.blanks(0)}"
        opening, closing = "{}" if mapping else "[]"
        ending = self.random.choice(("", space)) if items else ""
        return f"{opening}{space if items else ''}{comma.join(items)}{ending}{closing}"

    def quoted(self) -> str:
        return self.random.choice(("1", "a", "null", '"x, y"', "'{'", "a b", "'' ", *self.known))
