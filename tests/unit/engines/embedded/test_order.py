"""Who waits for whom after a reboot."""

from __future__ import annotations

from stackfile.engines.embedded.order import dependencies
from stackfile.engines.embedded.registry import Container
from stackfile.model import labels
from stackfile.model.container import ContainerSpec, ContainerState
from stackfile.model.stack import Dependency


def made(service: str, *needs: str, project: str = "p", number: int = 1) -> Container:
    own = {labels.PROJECT: project, labels.SERVICE: service}
    waits = {name: Dependency(condition="service_healthy") for name in needs}
    spec = ContainerSpec(name=f"{project}-{service}-{number}", labels=own, depends_on=waits)
    return Container(id=spec.name, spec=spec, state=ContainerState(), created="")


def names(container: Container, everything: list[Container]) -> list[str]:
    return [other.name for other, _ in dependencies(container, everything)]


def test_all_replicas_of_the_same_project() -> None:
    web = made("web", "db", "cache")
    everything = [web, made("db"), made("db", number=2), made("db", project="q"), made("other")]
    assert names(web, everything) == ["p-db-1", "p-db-2"]
    assert dependencies(web, everything)[0][1] == "service_healthy"


def test_nobody_waits_in_a_ring() -> None:
    a, b, c = made("a", "b"), made("b", "c"), made("c", "a")
    assert names(a, [a, b, c]) == []
    assert names(made("d", "a"), [a, b, c]) == ["p-a-1"]


def test_a_service_of_another_project() -> None:
    web = made("web", "data/db")
    everything = [web, made("db"), made("db", project="data"), made("db", "p/web", project="ring")]
    assert names(web, everything) == ["data-db-1"]
    assert names(made("a", "q/b"), [made("b", "p/a", project="q")]) == ["q-b-1"]
