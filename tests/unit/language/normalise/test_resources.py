from __future__ import annotations

import pytest

from stackfile.errors import StackfileError
from stackfile.language.dump import dump
from stackfile.model.stack import FileRef, Generate, NetworkResource, SecretRef, SecretResource, VolumeResource
from tests.unit.language.memory import errors_of, load_files, load_text, service


def test_networks() -> None:
    stack = load_text("""\
        name: p
        networks:
          plain:
          all:
            name: own
            driver: bridge
            driver_opts: {o: 1}
            ipam: {driver: default, config: [{subnet: 10.5.0.0/24, gateway: 10.5.0.1}]}
            internal: true
            attachable: true
            enable_ipv6: true
            labels: [a=b]
          out: {external: true}
          named: {external: true, name: real}
        """)
    assert stack.networks == {
        "plain": NetworkResource(name="plain", full_name="p_plain"),
        "all": NetworkResource(
            name="all", full_name="own", options={"o": "1"}, subnets=("10.5.0.0/24",), gateways=("10.5.0.1",),
            internal=True, attachable=True, enable_ipv6=True, labels={"a": "b"},
        ),
        "out": NetworkResource(name="out", full_name="out", external=True),
        "named": NetworkResource(name="named", full_name="real", external=True),
    }  # fmt: skip


def test_volumes() -> None:
    stack = load_text("""\
        name: p
        volumes:
          a: {}
          b: {name: own, driver: local, driver_opts: {type: tmpfs}, labels: {x: 1}}
          c: {external: true}
        """)
    assert stack.volumes == {
        "a": VolumeResource(name="a", full_name="p_a"),
        "b": VolumeResource(name="b", full_name="own", options={"type": "tmpfs"}, labels={"x": "1"}),
        "c": VolumeResource(name="c", full_name="c", external=True),
    }


def test_configs() -> None:
    files = {
        "stack.yaml": """\
            values: {who: you}
            configs:
              a: {content: "hello {{ values.who }} $$HOME ${V}"}
              b: {file: b.txt}
              c: {environment: V}
              d: {file: d.j2, template_driver: jinja}
              e: {content: 5}
            """,
        "b.txt": "{{ untouched }} $HOME\n",
        "d.j2": "{% for i in range(2) %}{{ values.who }}{{ i }} $HOME {% endfor %}\n",
    }
    stack = load_files(files, environ={"V": "v"})
    assert {name: config.content for name, config in stack.configs.items()} == {
        "a": "hello you $HOME v",
        "b": "{{ untouched }} $HOME\n",
        "c": "v",
        "d": "you0 $HOME you1 $HOME \n",
        "e": "5",
    }


def test_mistakes_of_template_files_have_their_places() -> None:
    files = {"stack.yaml": "configs: {c: {file: c.j2, template_driver: jinja}}", "c.j2": "one\ntwo {{ nope }}\n"}
    with pytest.raises(StackfileError) as caught:
        load_files(files)
    assert caught.value.at is not None
    assert str(caught.value.at) == "c.j2:2:5"


def test_secrets() -> None:
    files = {
        "stack.yaml": """\
            secrets:
              a: {generate: {length: 10, charset: hex}}
              b: {generate: }
              c: {file: c.txt}
              d: {environment: V}
              e: {content: "x{{ secrets.a }}y{{ secrets['c'] }}"}
              f: {content: plain}
              g: {for_each: [a], content: "{{ secrets[each.key] }}"}
            """,
        "c.txt": "from file\n",
    }
    stack = load_files(files, environ={"V": "v"})
    assert stack.secrets == {
        "a": SecretResource(name="a", generate=Generate(length=10, charset="hex")),
        "b": SecretResource(name="b", generate=Generate()),
        "c": SecretResource(name="c", content=("from file\n",)),
        "d": SecretResource(name="d", content=("v",)),
        "e": SecretResource(name="e", content=("x", SecretRef("a"), "y", SecretRef("c"))),
        "f": SecretResource(name="f", content=("plain",)),
        "g-a": SecretResource(name="g-a", content=(SecretRef("a"),)),
    }


@pytest.mark.parametrize(
    ("keys", "file"),
    [
        ("secrets: [s]", FileRef(kind="secret", source="s", target="/run/secrets/s")),
        ("configs: [c]", FileRef(kind="config", source="c", target="/c")),
        ("secrets: [{source: s, target: t}]", FileRef(kind="secret", source="s", target="/run/secrets/t")),
        ("configs: [{source: c, target: /etc/c, uid: 5, gid: '6', mode: 0400, on_change: SIGHUP}]",
         FileRef(kind="config", source="c", target="/etc/c", uid="5", gid="6", mode=0o400, on_change="SIGHUP")),
        ("configs: [{source: c, target: /c, mode: '0440', on_change: none}]",
         FileRef(kind="config", source="c", target="/c", mode=0o440, on_change="none")),
    ],
)  # fmt: skip
def test_references(keys: str, file: FileRef) -> None:
    assert service(keys, "secrets: {s: {content: x}}\nconfigs: {c: {content: x}}").files == (file,)


@pytest.mark.parametrize(
    ("text", "reason", "column"),
    [
        ("networks: {n: {drivr: x}}", "unknown-key", 16),
        ("networks: {n: {ipam: {config: [{subnet: x}]}}}", "bad-value", 41),
        ("networks: {n: {ipam: {config: [{subnet: 10.0.0.1/24}]}}}", "bad-value", 41),
        ("networks: {n: {ipam: {config: [{}]}}}", "missing-key", 32),
        ("networks: {n: {ipam: {driver: x}}}", "bad-value", 31), ("networks: {n: {internal: x}}", "bad-type", 26),
        ("networks: {n: {external: {stack: a}}}", "missing-key", 26), ("volumes: {v: {typ: x}}", "unknown-key", 15),
        ("volumes: {v: x}", "not-a-mapping", 14), ("configs: {c: {}}", "missing-key", 14),
        ("configs: {c: {file: no}}", "file-not-found", 21),
        ("configs: {c: {environment: NO}}", "variable-required", 28),
        ("configs: {c: {content: a, file: b}}", "bad-value", 27),
        ("configs: {c: {external: true, content: x}}", "bad-value", 31),
        ("configs: {c: {content: [a]}}", "bad-type", 24),
        ("configs: {c: {content: '{{ no }}'}}", "template-undefined", 25),
        ("configs: {c: {file: x, template_driver: go}}", "bad-value", 41),
        ("secrets: {s: {}}", "missing-key", 14), ("secrets: {s: {generate: {length: 0}}}", "bad-value", 34),
        ("secrets: {s: {generate: {charset: x}}}", "bad-value", 35),
        ("secrets: {s: {generate: {len: 5}}}", "unknown-key", 26),
        ("secrets: {s: {generate: , content: x}}", "bad-value", 27),
        ("secrets: {s: {command: []}}", "bad-value", 24),
        ("secrets: {s: {content: '{{ secrets.no }}'}}", "unknown-reference", 24),
        ("secrets: {s: {content: '{{ secrets.s }}'}}", "dependency-cycle", 24),
        ("secrets: {s: {content: '{{ secrets.t | upper }}'}, t: {generate: }}", "template-failed", 24),
        ("secrets: {s: {generate: }}\nconfigs: {c: {content: '{{ secrets.s }}'}}", "template-undefined", 25),
    ],
)  # fmt: skip
def test_mistakes(text: str, reason: str, column: int) -> None:
    line = text.count("\n") + 1
    assert errors_of(text) == [(reason, "stack.yaml", line, column)]


@pytest.mark.parametrize(
    ("item", "reason", "column"),
    [
        ("{source: c, on_change: HUP}", "bad-value", 59), ("{source: c, mode: '999'}", "bad-value", 54),
        ("{source: c, traget: x}", "unknown-key", 48), ("{source: no}", "unknown-reference", 45),
    ],
)  # fmt: skip
def test_mistakes_of_references(item: str, reason: str, column: int) -> None:
    text = f"services: {{a: {{image: x, configs: [{item}]}}}}\nconfigs: {{c: {{content: x}}}}"
    assert errors_of(text) == [(reason, "stack.yaml", 1, column)]


def test_secrets_do_not_show_in_the_representation() -> None:
    assert "hush" not in repr(load_text("secrets: {s: {content: hush}}"))


def test_other_stacks_resources() -> None:
    stack = load_text("""\
        services: {a: {image: x}}
        networks: {n: {external: {stack: data, network: back}}, m: {external: {name: old}}}
        volumes: {v: {external: {stack: data, volume: files}}}
        configs: {c: {external: true, name: data_c}}
        secrets: {s: {external: {stack: data, secret: pw}}, t: {external: true}}
        """)
    assert [item.full_name for item in stack.networks.values()][:2] == ["data_back", "old"]
    assert stack.volumes["v"].full_name == "data_files"
    assert stack.configs["c"].external == "data_c"
    assert [item.external for item in stack.secrets.values()] == ["data_pw", "t"]
    assert all(item.external for item in load_text(dump(stack)).secrets.values())


def test_commands_of_secrets() -> None:
    stack = load_text("secrets: {s: {command: pass show x}, t: {command: [pass, y]}}")
    assert [item.command for item in stack.secrets.values()] == [("/bin/sh", "-ec", "pass show x"), ("pass", "y")]


def test_addresses_of_a_network() -> None:
    network = load_text("""\
        networks:
          n:
            enable_ipv6: true
            ipam:
              config:
                - {subnet: 10.5.0.0/16, ip_range: 10.5.1.0/24, gateway: 10.5.0.1, aux_addresses: {h: 10.5.1.5}}
                - {subnet: "fd00::/64"}
        """).networks["n"]
    assert network.ip_ranges == ("10.5.1.0/24", "")
    assert network.reserved == ("10.5.1.5",)


def test_what_has_no_effect_in_resources() -> None:
    stack = load_text("""\
        networks: {n: {enable_ipv4: false, ipam: {options: {a: b}}}}
        configs: {c: {content: x, labels: [a=b]}}
        secrets: {s: {content: x, driver: d}}
        models: {m: {model: x}}
        """)
    assert sorted(entry.address + entry.path for entry in stack.ignored) == [
        "config.c/labels", "network.n/enable_ipv4", "network.n/ipam/options", "secret.s/driver", "stack/models",
    ]  # fmt: skip
