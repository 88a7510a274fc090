from __future__ import annotations

import pytest

from tests.unit.language.memory import errors_of, errors_of_files, load_files, load_text

TEXT = """\
values: {level: info, port: 80, list: [1], keep: 1}
environments:
  dev:
    default: true
  staging:
    extends: dev
    values: {level: warning, list: [2, 3]}
    services:
      web: {environment: {ENV: staging}, ports: ["81:81"]}
  prod:
    extends: staging
    profiles: [metrics]
    values: {level: error, port: 443}
    services:
      web: {mem_limit: 512m, ports: !override ["443:80"], user: !reset null}
      extra: {image: y}
services:
  web: {image: x, user: u, ports: ["80:80"], environment: {L: "{{ values.level }}", E: "{{ stack.environment }}"}}
  metrics: {image: m, profiles: [metrics]}
"""


def test_the_default_environment() -> None:
    stack = load_text(TEXT)
    assert (stack.environment, stack.services["web"].environment) == ("dev", {"L": "info", "E": "dev"})


def test_extends_and_overlays() -> None:
    staging = load_text(TEXT, environment="staging")
    assert staging.services["web"].environment == {"L": "warning", "E": "staging", "ENV": "staging"}
    assert [port.published for port in staging.services["web"].ports] == [80, 81]
    prod = load_text(TEXT, environment="prod")
    web = prod.services["web"]
    assert web.environment == {"L": "error", "E": "prod", "ENV": "staging"}
    assert ([port.published for port in web.ports], web.user, web.resources.memory) == ([443], "", 512 << 20)
    assert list(prod.services) == ["web", "metrics", "extra"]


def test_the_variable_chooses_and_the_option_wins() -> None:
    environ = {"STACKFILE_ENVIRONMENT": "prod"}
    assert load_text(TEXT, environ=environ).environment == "prod"
    assert load_text(TEXT, environ=environ, environment="staging").environment == "staging"


def test_without_a_default_the_base_applies() -> None:
    stack = load_text("environments: {a: {}, b: null}\nservices: {s: {image: x}}")
    assert stack.environment == ""


def test_origins_of_overlays() -> None:
    stack = load_text(TEXT, environment="prod")
    (step,) = stack.origins["service.web/environment/L"].via
    assert (step.name, step.at.line, step.at.column) == ("values.level", 13, 21)
    assert stack.origins["service.web/environment/L"].at.line == 18
    assert stack.origins["service.web/mem_limit"].at.line == 15


def test_environments_of_their_own_files() -> None:
    files = {
        "stack.yaml": "values: {t: {a: {x: 1}, b: {x: 2}}}\nenvironments: {prod: env/prod.yaml}\n"
        "services: {w: {image: x, for_each: '{{ values.t }}'}}\n",
        "env/prod.yaml": "values:\n  t: {a: !reset null, c: {x: 3}}\nservices: {w: {user: '{{ each.value.x }}'}}\n",
    }
    stack = load_files(files, environment="prod")
    assert {name: entry.user for name, entry in stack.services.items()} == {"w-b": "2", "w-c": "3"}
    assert stack.files == ("/project/stack.yaml", "/project/env/prod.yaml")
    assert stack.origins["service.w-b/user"].at.file == "env/prod.yaml"


@pytest.mark.parametrize(
    ("text", "environment", "found"),
    [
        ("environments: {prod: {}}", "prd", ("unknown-environment", "-E", 0, 0)),
        ("services: {}", "prod", ("unknown-environment", "-E", 0, 0)),
        ("environments: {a: {extends: b}}", "a", ("unknown-environment", "stack.yaml", 1, 29)),
        ("environments: {a: {extends: b}, b: {extends: a}}", "a", ("environment-cycle", "stack.yaml", 1, 46)),
        ("environments: {a: {default: true}, b: {default: true}}", "", ("bad-value", "stack.yaml", 1, 36)),
        ("environments: {a: {valus: {}}}", "a", ("unknown-key", "stack.yaml", 1, 20)),
        ("environments: {a: no.yaml}", "a", ("file-not-found", "stack.yaml", 1, 19)),
        ("environments: {a: [1]}", "a", ("bad-type", "stack.yaml", 1, 19)),
        ("environments: [a]", "a", ("not-a-mapping", "stack.yaml", 1, 15)),
        ("environments: {a: {values: {x: 1}}}", "a", ("unknown-value", "stack.yaml", 1, 29)),
        ("environments: {a: {services: {s: {command: [x]}}}}", "a", ("missing-key", "stack.yaml", 1, 34)),
    ],
)
def test_mistakes(text: str, environment: str, found: tuple[str, str, int, int]) -> None:
    assert errors_of(text, environment=environment) == [found]


def test_mistakes_of_environments_that_do_not_apply_wait() -> None:
    load_text("environments: {a: {valus: {}}}\nservices: {}")


def test_several_mistakes_of_an_overlay_file() -> None:
    files = {"stack.yaml": "environments: {p: p.yaml}\n", "p.yaml": "valus: {}\nservices: {s: {image: x, usr: y}}\n"}
    assert errors_of_files(files, environment="p") == [
        ("unknown-key", "p.yaml", 1, 1),
        ("unknown-key", "p.yaml", 2, 26),
    ]


def test_marks_of_an_override_file_count_when_the_environment_applies() -> None:
    files = {
        "stack.yaml": "services: {s: {image: x, user: u, dns: [a]}}\nenvironments: {e: {services: {s: {dns: [b]}}}}\n",
        "stack.override.yaml": "environments: {e: {services: {s: {dns: !override [c], user: !reset null}}}}\n",
    }
    parsed = load_files(files, environment="e").services["s"]
    assert (parsed.user, parsed.dns) == ("", ("c",))
