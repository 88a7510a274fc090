from __future__ import annotations

import pytest

from stackfile.model.stack import Port
from tests.unit.language.memory import errors_of, service


@pytest.mark.parametrize(
    ("item", "ports"),
    [
        ("80", [Port(target=80)]), ("'80'", [Port(target=80)]), ("'8080:80'", [Port(target=80, published=8080)]),
        ("'127.0.0.1:8080:80'", [Port(target=80, published=8080, host_ip="127.0.0.1")]),
        ("'127.0.0.1::80'", [Port(target=80, host_ip="127.0.0.1")]),
        ("'[::1]:8080:80'", [Port(target=80, published=8080, host_ip="::1")]),
        ("'53:53/udp'", [Port(target=53, published=53, protocol="udp")]),
        ("'80-81'", [Port(target=80), Port(target=81)]),
        ("'1000-1001:2000-2001'", [Port(target=2000, published=1000), Port(target=2001, published=1001)]),
        ("'3000-3005:3000'", [Port(target=3000, published=3000, published_last=3005)]),
        ("{target: 80}", [Port(target=80)]),
        ("{target: 80, published: '8080', host_ip: 0.0.0.0, protocol: udp, mode: host, name: n, app_protocol: http}",
         [Port(target=80, published=8080, host_ip="0.0.0.0", protocol="udp", mode="host")]),
        ("22:22", [Port(target=22, published=22)]),
    ],
)  # fmt: skip
def test_forms(item: str, ports: list[Port]) -> None:
    assert service(f"ports: [{item}]").ports == tuple(ports)


@pytest.mark.parametrize(
    "item",
    [
        "99999", "'0'", "'80:'", "':80'", "x", "'80:99999'", "'1-2:1-3'", "'2-1:2-1'", "'80/xyz'", "'1.2.3:80:80'",
        "'a:b:c:d'", "''", "'80:80:80:80'",
    ],
)  # fmt: skip
def test_what_is_no_port(item: str) -> None:
    expected = [] if item == "':80'" else [("bad-port", "stack.yaml", 1, 34)]
    if expected:
        assert errors_of(f"services: {{a: {{image: x, ports: [{item}]}}}}") == expected
    else:
        assert service(f"ports: [{item}]").ports == (Port(target=80),)


def test_long_form_mistakes() -> None:
    text = "services: {a: {image: x, ports: [{published: 1}, {target: 1, mode: x}, {target: 1, targt: 2}]}}"
    assert errors_of(text) == [
        ("missing-key", "stack.yaml", 1, 34),
        ("bad-port", "stack.yaml", 1, 68),
        ("unknown-key", "stack.yaml", 1, 84),
    ]


@pytest.mark.parametrize(
    ("services", "columns"),
    [
        ("a: {image: x, ports: ['80:80']}, b: {image: x, ports: ['80:81']}", [67]),
        ("a: {image: x, ports: ['80:80']}, b: {image: x, ports: ['127.0.0.1:80:81']}", [67]),
        ("a: {image: x, ports: ['80:80']}, b: {image: x, ports: ['80:81/udp']}", []),
        ("a: {image: x, ports: ['127.0.0.1:80:80']}, b: {image: x, ports: ['127.0.0.2:80:81']}", []),
        ("a: {image: x, ports: ['80:80'], scale: 2}", []),
        ("a: {image: x, ports: [{target: 80, published: 80, mode: host}], scale: 2}", [34]),
        ("a: {image: x, ports: [{target: 80, published: '{{ 80 + replica.index }}', mode: host}], scale: 2}", []),
        ("a: {image: x, ports: [{target: 80, mode: host}], scale: 2}", []),
        ("a: {image: x, ports: ['80-85:80-85']}, b: {image: x, ports: ['83:81']}", [73]),
        ("a: {image: x, ports: ['80:80']}, b: {image: x, profiles: [p], ports: ['80:81']}", []),
    ],
)
def test_collisions(services: str, columns: list[int]) -> None:
    text = f"services: {{{services}}}"
    if columns:
        assert errors_of(text) == [("port-collision", "stack.yaml", 1, column) for column in columns]
    else:
        from tests.unit.language.memory import load_text

        load_text(text)
