"""Contents of configs, order of secrets."""

from __future__ import annotations

from dataclasses import replace

from stackfile.engines import observing
from stackfile.model.stack import ConfigResource, FileRef, SecretRef, SecretResource, Service, Stack


def test_contents_of_configs_and_of_replicas() -> None:
    web = Service(name="web", image="app", replicas=2)
    variants = tuple(
        replace(web, files=(FileRef(kind="config", source="own", target="/c", content=f"n={index}"),))
        for index in (1, 2)
    )
    stack = Stack(
        name="p",
        services={"web": replace(web, variants=variants)},
        configs={"own": ConfigResource(name="own"), "all": ConfigResource(name="all", content="ü")},
    )
    assert observing.config_contents(stack) == {"all": "ü".encode(), "own@web/1": b"n=1", "own@web/2": b"n=2"}


def test_a_secret_comes_after_those_it_is_composed_of() -> None:
    secrets = {
        "url": SecretResource(name="url", content=("pg://", SecretRef("password"))),
        "copy": SecretResource(name="copy", content=(SecretRef("url"),)),
        "password": SecretResource(name="password", content=("x",)),
    }
    assert observing.secret_order(secrets) == ["password", "url", "copy"]
