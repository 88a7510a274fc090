from dataclasses import replace
from typing import Any

import pytest

from stackfile.daemon.dockerjson import container, container_filters, times
from stackfile.daemon.dockerjson.container import Surroundings
from stackfile.errors import ActionError, NotFoundError
from stackfile.model.container import ContainerRecord, ContainerSpec, ContainerState, Endpoint, Health, PublishedPort
from stackfile.model.image import ImageConfig, ImageRecord
from stackfile.model.stack import Attachment, Healthcheck, Mount, Port, SecretRef

NOW = times.nanoseconds("2026-01-01T12:00:00Z")
IMAGE = ImageRecord(
    id="sha256:" + "1" * 64,
    manifest="sha256:" + "2" * 64,
    config=ImageConfig(
        entrypoint=("/entry",), command=("serve",), environment=("PATH=/bin", "A=image"), exposed_ports=("80/tcp",),
        labels={"from": "image"}, working_dir="/srv", user="www",
    ),
)  # fmt: skip


def record(status: str = "running", **spec: Any) -> ContainerRecord:
    fields: dict[str, Any] = {"name": "web", "image": IMAGE.id, "image_name": "app", **spec}
    return ContainerRecord(
        id="a" * 64,
        spec=ContainerSpec(**fields),
        state=ContainerState(
            status=status, pid=42, started_at="2026-01-01T11:57:00Z", finished_at="2026-01-01T11:59:55Z"
        ),
        created="2026-01-01T11:00:00Z",
        endpoints=(
            Endpoint(
                network="front", network_id="n" * 64, ipv4="10.0.0.2", ipv4_prefix=24, gateway="10.0.0.1",
                mac="02:42:0a:00:00:02", aliases=("web",),
            ),
        ),
        published=(PublishedPort(target=80, published=8080, host_ip="", protocol="tcp"),),
        volumes={"/data": "proj_data"},
    )  # fmt: skip


def around(**changes: Any) -> Surroundings:
    fields: dict[str, Any] = {
        "image": IMAGE, "mountpoints": {"proj_data": "/v/_data"}, "state_dir": "/state", "run_dir": "/run", **changes
    }  # fmt: skip
    return Surroundings(**fields)


def test_config_is_completed_by_the_image() -> None:
    config = container.inspect(record(environment={"A": "own", "S": SecretRef("key")}), around())["Config"]
    assert config["Env"] == ["PATH=/bin", "A=own", "S=secret:key"]
    assert config["Entrypoint"] == ["/entry"]
    assert config["Cmd"] == ["serve"]
    assert config["User"] == "www"
    assert config["WorkingDir"] == "/srv"
    assert config["Hostname"] == "a" * 12
    assert config["Labels"] == {"from": "image"}


def test_an_own_entrypoint_drops_the_images_command() -> None:
    shown = container.inspect(record(entrypoint=("sh",)), around())
    assert (shown["Path"], shown["Args"], shown["Config"]["Cmd"]) == ("sh", [], None)


def test_ports_are_as_they_really_are() -> None:
    settings = container.inspect(record(expose=("9000",)), around())["NetworkSettings"]
    both = [{"HostIp": host, "HostPort": "8080"} for host in ("0.0.0.0", "::")]
    assert settings["Ports"] == {"80/tcp": both, "9000/tcp": None}
    stopped = container.inspect(record("exited"), around())["NetworkSettings"]
    assert stopped["Ports"] == {}
    assert stopped["Networks"]["front"]["NetworkID"] == "n" * 64
    assert stopped["Networks"]["front"]["IPAddress"] == ""


@pytest.mark.parametrize(
    ("spec", "networks"),
    [
        ({}, ["bridge"]),
        ({"network_mode": "none"}, ["none"]),
        ({"network_mode": "host"}, ["host"]),
        ({"network_mode": "container:x"}, []),
        ({"networks": (Attachment(network="a"), Attachment(network="b"))}, ["a", "b"]),
    ],
)
def test_networks_before_the_start(spec: dict[str, Any], networks: list[str]) -> None:
    there = replace(record("created", **spec), endpoints=())
    shown = container.inspect(there, around())["NetworkSettings"]["Networks"]
    assert list(shown) == networks
    assert {item["EndpointID"] for item in shown.values()} <= {""}


def test_mounts_name_the_volumes_directory() -> None:
    shown = container.inspect(
        record(mounts=(Mount(type="bind", source="/etc", target="/e", read_only=True),)), around()
    )
    bind, volume = shown["Mounts"]
    assert (bind["Type"], bind["Source"], bind["RW"], bind["Propagation"]) == ("bind", "/etc", False, "rprivate")
    assert (volume["Name"], volume["Source"], volume["Destination"]) == ("proj_data", "/v/_data", "/data")


def test_lists_and_objects_are_never_null_where_docker_gives_them() -> None:
    shown = container.inspect(record(), around(image=None))
    assert shown["Config"]["Env"] is None
    assert shown["Config"]["Labels"] == {}
    for key in ("Dns", "DnsOptions", "DnsSearch", "Devices", "BlkioWeightDevice"):
        assert shown["HostConfig"][key] == []
    assert shown["HostConfig"]["PortBindings"] == {}
    assert shown["Mounts"] != []
    assert shown["Args"] == []


def test_port_bindings_are_as_asked_for() -> None:
    ports = (Port(target=80), Port(target=80, published=81, host_ip="127.0.0.1"))
    assert container.inspect(record(ports=ports), around())["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostIp": "", "HostPort": ""}, {"HostIp": "127.0.0.1", "HostPort": "81"}]
    }


def test_an_end_that_nobody_saw() -> None:
    lost = ContainerState(status="exited", exit_known=False, error="the shim died")
    shown = container.state(lost, False)
    assert (shown["ExitCode"], shown["Error"]) == (255, "the shim died")
    assert shown["StartedAt"] == times.ZERO
    assert "Health" not in shown


CHECK = Healthcheck(test=("CMD", "true"))


@pytest.mark.parametrize(
    ("state", "spec", "text"),
    [
        ({"status": "created"}, {}, "Created"),
        ({}, {}, "Up 3 minutes"),
        ({"health": Health(status="healthy")}, {"healthcheck": CHECK}, "Up 3 minutes (healthy)"),
        ({"health": Health(status="starting")}, {"healthcheck": CHECK}, "Up 3 minutes (health: starting)"),
        ({"status": "paused"}, {}, "Up 3 minutes (Paused)"),
        ({"status": "exited", "exit_code": 3}, {}, "Exited (3) 5 seconds ago"),
        ({"status": "restarting", "exit_code": 1}, {}, "Restarting (1) 5 seconds ago"),
        ({"status": "dead"}, {}, "Dead"),
    ],
)
def test_status_for_a_person(state: dict[str, Any], spec: dict[str, Any], text: str) -> None:
    there = record(**spec)
    there = replace(there, state=replace(there.state, **state))
    assert container.summary(there, around(), NOW)["Status"] == text


def test_summary() -> None:
    shown = container.summary(record(command=("echo", "a b")), around(), NOW)
    assert shown["Names"] == ["/web"]
    assert shown["Command"] == "/entry echo 'a b'"
    assert shown["Ports"] == [
        {"IP": host, "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"} for host in ("0.0.0.0", "::")
    ]
    assert shown["Created"] == times.seconds("2026-01-01T11:00:00Z")


def many() -> list[ContainerRecord]:
    names = ("first", "second", "third")
    return [
        replace(
            record(("running", "exited", "created")[number], name=name, labels={"n": str(number)}),
            id=str(number) * 64,
            created=f"2026-01-01T1{number}:00:00Z",
        )
        for number, name in enumerate(names)
    ]


@pytest.mark.parametrize(
    ("wanted", "show_all", "names"),
    [
        ({}, False, ["first"]),
        ({}, True, ["third", "second", "first"]),
        ({"status": ("exited",)}, False, ["second"]),
        ({"status": ("exited", "created")}, False, ["third", "second"]),
        ({"name": ("ir",)}, True, ["third", "first"]),
        ({"name": ("^/first$",)}, True, ["first"]),
        ({"id": ("22",)}, True, ["third"]),
        ({"label": ("n=1",)}, True, ["second"]),
        ({"label": ("n=1", "x")}, True, []),
        ({"exited": ("0",)}, False, ["second"]),
        ({"before": ("second",)}, False, ["first"]),
        ({"since": ("first",)}, False, ["third", "second"]),
        ({"ancestor": ("app",)}, True, ["third", "second", "first"]),
        ({"ancestor": (IMAGE.id,)}, True, ["third", "second", "first"]),
        ({"ancestor": ("other",)}, True, []),
        ({"network": ("front",)}, True, ["third", "second", "first"]),
        ({"volume": ("proj_data",)}, True, ["third", "second", "first"]),
        ({"volume": ("/nothing",)}, True, []),
        ({"health": ("none",)}, False, ["first"]),
        ({"publish": ("8080/tcp",)}, False, ["first"]),
    ],
)
def test_filters(wanted: dict[str, tuple[str, ...]], show_all: bool, names: list[str]) -> None:
    chosen = container_filters.select(many(), wanted, show_all=show_all)
    assert [item.spec.name for item in chosen] == names


def test_bad_filters() -> None:
    with pytest.raises(ActionError):
        container_filters.select(many(), {"status": ("well",)}, show_all=True)
    with pytest.raises(NotFoundError):
        container_filters.select(many(), {"since": ("nobody",)}, show_all=True)
