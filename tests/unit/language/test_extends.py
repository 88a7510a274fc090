"""`extends`: Compose's rules, in one file and across files."""

from __future__ import annotations

from stackfile.model.stack import Mount
from tests.unit.language.memory import errors_of, errors_of_files, load_files, load_text

BASE = """\
services:
  base:
    image: x
    environment: {A: 1, B: 2}
    volumes: ["./data:/data"]
    env_file: [base.env]
    command: [one]
    extends: root
  root: {image: r, user: u, expose: ["80"]}
"""


def test_a_service_of_the_same_file() -> None:
    stack = load_text("""\
        services:
          base: {image: x, environment: {A: 1, B: 2}, cap_add: [A], command: [a], depends_on: [other]}
          web: {extends: {service: base}, environment: {B: 3}, cap_add: [B], command: [b]}
          more: {extends: web, user: u}
          other: {image: y}
        """)
    more = stack.services["more"]
    assert (more.image, more.environment, more.user) == ("x", {"A": "1", "B": "3"}, "u")
    assert (more.cap_add, more.command, list(more.depends_on)) == (("A", "B"), ("b",), ["other"])


def test_paths_of_another_file_start_there() -> None:
    stack = load_files({
        "stack.yaml": """\
            services:
              web: {extends: {file: common/base.yaml, service: base}, volumes: ["./own:/own"], environment: {B: "${X}"}}
            """,
        "common/base.yaml": BASE,
        "common/base.env": "C=3\n",
    }, environ={"X": "y"})  # fmt: skip
    web = stack.services["web"]
    assert list(stack.services) == ["web"]
    assert (web.environment, web.user, web.expose) == ({"A": "1", "B": "y", "C": "3"}, "u", ("80/tcp",))
    assert web.mounts == (
        Mount(type="bind", source="/project/common/data", target="/data"),
        Mount(type="bind", source="/project/own", target="/own"),
    )
    assert "/project/common/base.yaml" in stack.files
    assert stack.origins["service.web/environment/A"].at.file == "common/base.yaml"


def test_templates_are_evaluated_where_they_end_up() -> None:
    stack = load_text("""\
        values: {who: you}
        services:
          base: {image: "i-{{ each.key | default('none') }}", when: false, user: "{{ values.who }}"}
          web: {extends: base, for_each: [a, b], image: "w-{{ each.key }}"}
        """)
    assert {name: (service.image, service.user) for name, service in stack.services.items()} == {
        "web-a": ("w-a", "you"),
        "web-b": ("w-b", "you"),
    }


def test_a_later_file_extends_what_an_earlier_one_has() -> None:
    files = {
        "stack.yaml": "services: {base: {image: x, user: u}}\n",
        "stack.override.yaml": "services: {web: {extends: base}}\n",
    }
    assert load_files(files).services["web"].user == "u"


def test_an_environment_extends_too() -> None:
    text = """\
        environments: {dev: {services: {debug: {extends: web, user: d}}}}
        services: {web: {image: x, tty: true}}
        """
    debug = load_text(text, environment="dev").services["debug"]
    assert (debug.image, debug.tty, debug.user) == ("x", True, "d")


def test_mistakes() -> None:
    assert errors_of("services:\n  a: {extends: b, image: x}\n  b: {extends: {service: a}, image: x}\n") == [
        ("extends-cycle", "stack.yaml", 2, 16),
        ("extends-cycle", "stack.yaml", 3, 16),
    ]
    assert errors_of("services:\n  web: {image: x}\n  a: {extends: wbe, image: x}\n") == [
        ("unknown-reference", "stack.yaml", 3, 16)
    ]
    text = "services:\n  a: {extends: {file: no.yaml, service: b}, image: x}\n  c: {extends: [], image: x}\n"
    assert errors_of(text) == [("file-not-found", "stack.yaml", 2, 23), ("bad-type", "stack.yaml", 3, 16)]
    assert errors_of("services:\n  a: {extends: {servce: b}, image: x}\n") == [("unknown-key", "stack.yaml", 2, 17)]
    assert errors_of("services:\n  a: {extends: {file: b}, image: x}\n") == [("missing-key", "stack.yaml", 2, 16)]


def test_mistakes_of_the_other_file_have_their_place_there() -> None:
    files = {
        "stack.yaml": "services:\n  a: {extends: {file: b.yaml, service: b}, usr: x}\n",
        "b.yaml": "services:\n  b: {image: x, mem_limit: 12q}\n",
    }
    assert errors_of_files(files) == [("bad-size", "b.yaml", 2, 28), ("unknown-key", "stack.yaml", 2, 44)]
