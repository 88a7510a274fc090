from __future__ import annotations

import pytest

from stackfile.model.stack import Mount
from tests.unit.language.memory import errors_of, service

VOLUMES = "volumes: {data: }"


@pytest.mark.parametrize(
    ("item", "mount"),
    [
        ("/anon", Mount(type="volume", target="/anon")),
        ("'data:/d'", Mount(type="volume", source="data", target="/d")),
        ("'data:/d:ro,nocopy'", Mount(type="volume", source="data", target="/d", read_only=True, nocopy=True)),
        ("'./x:/d'", Mount(type="bind", source="/project/x", target="/d")),
        ("'../x:/d:ro'", Mount(type="bind", source="/x", target="/d", read_only=True)),
        ("'.:/d/'", Mount(type="bind", source="/project", target="/d")),
        ("'/x:/d:rshared,Z'", Mount(type="bind", source="/x", target="/d", propagation="rshared")),
        ("{target: /d}", Mount(type="volume", target="/d")),
        ("{type: volume, source: data, target: /d, read_only: true, volume: {nocopy: true, subpath: s}}",
         Mount(type="volume", source="data", target="/d", read_only=True, nocopy=True, subpath="s")),
        ("{type: bind, source: x, target: /d, bind: {propagation: shared, create_host_path: false}}",
         Mount(type="bind", source="/project/x", target="/d", propagation="shared", create_host_path=False)),
        ("{type: tmpfs, target: /d, tmpfs: {size: 10m, mode: 0700}}",
         Mount(type="tmpfs", target="/d", tmpfs_size=10 << 20, tmpfs_mode=0o700)),
    ],
)  # fmt: skip
def test_forms(item: str, mount: Mount) -> None:
    assert service(f"volumes: [{item}]", VOLUMES).mounts == (mount,)


def test_tmpfs() -> None:
    assert service("tmpfs: /a").mounts == (Mount(type="tmpfs", target="/a"),)
    assert service("tmpfs: ['/a:size=1m,mode=700', /b]").mounts == (
        Mount(type="tmpfs", target="/a", tmpfs_options="size=1m,mode=700"),
        Mount(type="tmpfs", target="/b"),
    )


@pytest.mark.parametrize(
    ("item", "reason", "column"),
    [
        ("'a b:/x'", "bad-value", 36), ("'data:rel'", "bad-value", 36), ("'data:/d:xx'", "bad-value", 36),
        ("'a:b:c:d'", "bad-value", 36), ("'no:/d'", "unknown-reference", 36), ("rel", "bad-value", 36),
        ("{type: x, target: /d}", "bad-value", 43), ("{source: data}", "missing-key", 36),
        ("{type: bind, target: /d}", "missing-key", 36), ("{target: /d, bind: {propagation: x}}", "bad-value", 69),
        ("{target: /d, sorce: data}", "unknown-key", 49), ("[x]", "bad-type", 36),
    ],
)  # fmt: skip
def test_mistakes(item: str, reason: str, column: int) -> None:
    text = f"services: {{a: {{image: x, volumes: [{item}]}}}}\n{VOLUMES}"
    assert errors_of(text) == [(reason, "stack.yaml", 1, column)]
