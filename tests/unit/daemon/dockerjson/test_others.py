"""Images, networks, volumes, events, stats, execs."""

from dataclasses import replace
from typing import Any

import pytest

from stackfile.daemon.dockerjson import event, execs, image, network, stats, system, volume
from stackfile.errors import ActionError
from stackfile.model.container import (
    ContainerRecord,
    ContainerSpec,
    ContainerState,
    EngineInfo,
    ExecRecord,
    ExecSpec,
    NetworkRecord,
    Stats,
    VolumeRecord,
)
from stackfile.model.event import Event
from stackfile.model.image import HistoryEntry, ImageConfig, ImageRecord

TAGGED = ImageRecord(
    id="sha256:" + "a" * 64, manifest="sha256:" + "b" * 64, tags=("docker.io/library/busybox:latest",),
    created="2026-01-02T00:00:00Z", size=5, config=ImageConfig(labels={"x": "1"}),
    history=(HistoryEntry(created_by="one"), HistoryEntry(created_by="two")),
)  # fmt: skip
BARE = ImageRecord(id="sha256:" + "c" * 64, manifest="", created="2026-01-01T00:00:00Z")


def test_images_have_their_short_names() -> None:
    shown = image.summary(TAGGED)
    assert shown["RepoTags"] == ["busybox:latest"]
    assert shown["RepoDigests"] is None
    pulled = image.summary(replace(TAGGED, digests=("docker.io/library/busybox@sha256:1",)))
    assert pulled["RepoDigests"] == ["busybox@sha256:1"]
    assert image.summary(BARE)["RepoTags"] == ["<none>:<none>"]
    assert image.inspect(BARE)["RepoTags"] == []
    assert image.inspect(BARE)["Config"]["Labels"] is None


def test_history_is_newest_first() -> None:
    rows = image.history(TAGGED)
    assert [row["CreatedBy"] for row in rows] == ["two", "one"]
    assert [row["Id"] for row in rows] == [TAGGED.id, "<missing>"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [TAGGED, BARE]),
        ({"dangling": ("true",)}, [BARE]),
        ({"dangling": ("false",)}, [TAGGED]),
        ({"reference": ("busy*",)}, [TAGGED]),
        ({"reference": ("busybox:latest",)}, [TAGGED]),
        ({"reference": ("busybox:1",)}, []),
        ({"label": ("x=1",)}, [TAGGED]),
        ({"before": ("busybox",)}, [BARE]),
        ({"since": (BARE.id,)}, [TAGGED]),
    ],
)
def test_image_filters(wanted: dict[str, tuple[str, ...]], found: list[ImageRecord]) -> None:
    assert image.select([BARE, TAGGED], wanted) == found


NETWORK = NetworkRecord(id="n" * 64, name="front", subnets=("10.0.0.0/24",), gateways=("10.0.0.1",))


def test_networks() -> None:
    shown = network.encode(NETWORK)
    assert shown["IPAM"] == {
        "Driver": "default",
        "Options": {},
        "Config": [{"Subnet": "10.0.0.0/24", "Gateway": "10.0.0.1"}],
    }
    assert (shown["Containers"], shown["Options"], shown["Labels"]) == ({}, {}, {})


def test_network_create() -> None:
    body = {"Name": "front", "Driver": "default", "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.0.0.0/24"}]}}
    spec = network.decode({**body, "CheckDuplicate": True, "Labels": None, "Options": {}})
    assert (spec.name, spec.driver, spec.subnets, spec.gateways) == ("front", "bridge", ("10.0.0.0/24",), ("",))
    with pytest.raises(ActionError):
        network.decode({})


def test_network_filters() -> None:
    used = frozenset({NETWORK.id})
    bridge = NetworkRecord(id="b" * 64, name="bridge")
    both = [NETWORK, bridge]
    assert network.select(both, {"name": ("fro",)}, used) == [NETWORK]
    assert network.select(both, {"type": ("custom",)}, used) == [NETWORK]
    assert network.select(both, {"dangling": ("1",)}, used) == [bridge]


def test_volumes() -> None:
    spec = volume.decode({"Name": "", "Driver": "local", "DriverOpts": None}, "generated")
    assert (spec.name, spec.anonymous) == ("generated", True)
    with pytest.raises(ActionError):
        volume.decode({"Name": "x", "Driver": "nfs"}, "")
    there = VolumeRecord(name="data", labels={"a": "1"})
    assert volume.encode(there)["Options"] is None
    assert volume.select([there], {"dangling": ("true",)}, frozenset()) == [there]
    assert volume.select([there], {"dangling": ("true",)}, frozenset({"data"})) == []


DIE = Event(
    sequence=7, time_ns=1_700_000_000_000_000_001, kind="container", action="die", id="c" * 64,
    attributes={"name": "web", "image": "app", "exitCode": "3", "team": "a"},
)  # fmt: skip


def test_events() -> None:
    shown = event.encode(DIE)
    assert (shown["status"], shown["id"], shown["from"]) == ("die", "c" * 64, "app")
    assert (shown["time"], shown["timeNano"]) == (1_700_000_000, 1_700_000_000_000_000_001)
    assert shown["Actor"]["Attributes"]["exitCode"] == "3"


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        ({}, True),
        ({"type": ("container",)}, True),
        ({"type": ("network",)}, False),
        ({"event": ("die", "start")}, True),
        ({"container": ("web",)}, True),
        ({"container": ("c" * 12,)}, True),
        ({"container": ("db",)}, False),
        ({"label": ("team=a",)}, True),
        ({"image": ("app",)}, True),
    ],
)
def test_event_filters(wanted: dict[str, tuple[str, ...]], passes: bool) -> None:
    assert event.passes(DIE, wanted) is passes


def test_health_events_pass_for_their_first_word() -> None:
    changed = Event(sequence=1, time_ns=0, kind="container", action="health_status: healthy", id="c")
    assert event.passes(changed, {"event": ("health_status",)})


def sample(**changes: Any) -> Stats:
    names = [name for name in Stats.__slots__ if name != "time"]
    more = {"cpu_each": (1,), "memory_details": {"cache": 1}, "io": ((8, 0, "read", 1),)}
    return Stats(time="2026-01-01T00:00:00Z", **{**dict.fromkeys(names, 1), **more, **changes})


def test_stats_have_the_sample_before() -> None:
    there = ContainerRecord(id="c", spec=ContainerSpec(name="web"), state=ContainerState(), created="")
    shown = stats.encode(there, sample(cpu_total=5), sample(cpu_total=3))
    assert shown["cpu_stats"]["cpu_usage"]["total_usage"] == 5
    assert shown["precpu_stats"]["cpu_usage"]["total_usage"] == 3
    assert shown["networks"]["eth0"]["rx_bytes"] == 1
    read = {"major": 8, "minor": 0, "op": "Read", "value": 1}
    assert shown["blkio_stats"]["io_service_bytes_recursive"] == [read]
    assert stats.nothing(there)["pids_stats"] == {"current": 0}


def test_execs() -> None:
    spec = execs.decode({"Cmd": ["ls", "-l"], "AttachStdout": True, "Env": None, "Tty": False})
    assert spec == ExecSpec(argv=("ls", "-l"), stdout=True, stderr=False)
    shown = execs.encode(ExecRecord(id="e", container="c", spec=spec, running=True))
    assert shown["ProcessConfig"]["arguments"] == ["-l"]
    assert shown["ExitCode"] is None
    with pytest.raises(ActionError):
        execs.decode({"Cmd": []})


def test_version_and_info() -> None:
    value = EngineInfo(
        id="i", version="0", root="/r", kernel="6", operating_system="Debian", architecture="x86_64", cpus=2, memory=1,
        cgroup_version="1", storage_driver="overlay", containers=0, running=0, paused=0, stopped=0, images=0, name="h",
    )  # fmt: skip
    assert system.version(value)["Arch"] == "amd64"
    assert system.info(value, "now")["Swarm"]["LocalNodeState"] == "inactive"
