"""A service's replica as a container."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackfile.errors import ActionError
from stackfile.model import labels
from stackfile.model.stack import Attachment, Dependency, FileRef, Mount, NetworkResource, SecretRef
from stackfile.reconcile.instantiate import Knowledge, instantiate
from tests.unit.reconcile import kit

KNOWN = Knowledge(images={"app": kit.IMAGE}, references={"nginx": kit.OTHER_IMAGE}, keys={"secret.s": kit.TOKEN})


def test_names_and_labels_are_composes() -> None:
    web = kit.service("web", depends_on={"db": Dependency(condition="service_healthy"), "mq": Dependency()},
                      labels={"tier": "front"})  # fmt: skip
    stack = kit.stack(web, kit.service("db"), kit.service("mq"), groups={"fronts": ("web",)})
    spec = instantiate(stack, "web", 2, KNOWN)
    assert (spec.name, spec.image, spec.image_name) == ("p-web-2", kit.IMAGE, "p/app")
    marks = dict(spec.labels)
    assert len(marks.pop(labels.CONFIG_HASH)) == 64
    assert marks.pop(labels.VERSION)
    assert marks == {
        "tier": "front",
        labels.PROJECT: "p",
        labels.SERVICE: "web",
        labels.NUMBER: "2",
        labels.ONEOFF: "False",
        labels.CONFIG_FILES: "/srv/p/stack.yaml",
        labels.WORKING_DIR: "/srv/p",
        labels.DEPENDS_ON: "db:service_healthy:false,mq:service_started:false",
        labels.IMAGE: kit.IMAGE,
        labels.ENVIRONMENT: "dev",
        labels.GROUP: "fronts",
    }


def test_networks_that_every_engine_has_are_modes() -> None:
    def mode(*names: str) -> tuple[str, int]:
        web = kit.service("web", networks=tuple(Attachment(network=name) for name in names))
        networks = {name: NetworkResource(name=name, full_name=name, external=True) for name in names}
        spec = instantiate(replace(kit.stack(web), networks=networks), "web", 1, KNOWN)
        return spec.network_mode, len(spec.networks)

    assert mode("host") == ("host", 0)
    assert mode("none") == ("none", 0)
    assert mode("bridge") == ("bridge", 0)
    assert mode("bridge", "other") == ("", 2)
    with pytest.raises(ActionError) as caught:
        mode("other", "host")
    assert caught.value.reason == "bad-request"


def test_networks_and_volumes_have_their_full_names() -> None:
    web = kit.service(
        "web",
        networks=(Attachment(network="default", aliases=("www", "web")),),
        mounts=(
            Mount(type="volume", source="data", target="/data"),
            Mount(type="volume", target="/cache"),
            Mount(type="bind", source="data", target="/bind"),
        ),
    )
    spec = instantiate(kit.stack(web, volumes=kit.volume("data")), "web", 1, KNOWN)
    assert spec.networks == (Attachment(network="p_default", aliases=("p-web-1", "web", "www")),)
    assert [mount.source for mount in spec.mounts] == ["p_data", "", "data"]


def test_a_replica_has_its_own_variant_and_content() -> None:
    base = kit.service("web", replicas=2)
    variants = tuple(
        replace(
            base,
            environment={"N": str(index)},
            files=(FileRef(kind="config", source="c", target="/c", content=f"n={index}"),),
        )
        for index in (1, 2)
    )
    known = Knowledge(keys={"config.c@web/1": "hmac:1", "config.c@web/2": "hmac:2"})
    stack = kit.stack(replace(base, variants=variants), configs=kit.config("c"))
    spec = instantiate(stack, "web", 2, known)
    assert spec.environment == {"N": "2"}
    assert [(file.name, file.key) for file in spec.files] == [("c@web/2", "hmac:2")]


def test_secrets_by_key() -> None:
    web = kit.service("web", environment={"T": SecretRef("s")},
                      files=(FileRef(kind="secret", source="s", target="/run/secrets/s"),))  # fmt: skip
    spec = instantiate(kit.stack(web, secrets=kit.secret("s")), "web", 1, KNOWN)
    assert spec.secret_keys == {"s": kit.TOKEN}
    assert [(file.kind, file.name, file.key) for file in spec.files] == [("secret", "s", kit.TOKEN)]


def test_container_name_and_shared_namespaces() -> None:
    stack = kit.stack(
        kit.service("web", container_name="front"), kit.service("proxy", networks=(), network_mode="service:web")
    )
    assert instantiate(stack, "web", 1, KNOWN).name == "front"
    assert instantiate(stack, "proxy", 1, KNOWN).network_mode == "container:front"


def test_a_reference_has_its_image() -> None:
    stack = kit.stack(kit.service("web", image="nginx", image_is_stack_image=False))
    assert instantiate(stack, "web", 1, KNOWN).image == kit.OTHER_IMAGE


def test_what_is_shared_is_named_by_container() -> None:
    web = kit.service("web", pid_mode="service:db", ipc_mode="container:x", volumes_from=("db:ro", "container:y"))
    spec = instantiate(kit.stack(web, kit.service("db")), "web", 1, KNOWN)
    assert (spec.pid_mode, spec.ipc_mode, spec.volumes_from) == ("container:p-db-1", "container:x", ("p-db-1:ro", "y"))
