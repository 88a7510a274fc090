from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stackfile.errors import ActionError
from stackfile.images.snapshots import RootMount
from stackfile.model.container import ContainerSpec, ExecSpec, LogConfig
from stackfile.model.image import ImageConfig
from stackfile.model.stack import Mount, Resources, Ulimit
from stackfile.runtime import codec
from stackfile.runtime.compile import command, compile_container, compile_exec, signal_number
from stackfile.runtime.instructions import (
    Account,
    BindMount,
    CgroupHandle,
    Device,
    ExecInstructions,
    Instructions,
    Rlimit,
    TmpfsMount,
)
from stackfile.runtime.machine import Machine

ROOT = RootMount(kind="overlay", lower=("/l/2", "/l/1"), upper="/u", work="/w")
CGROUP = CgroupHandle(version=1, paths=("/sys/fs/cgroup/memory/x/y",), views=(("memory", "memory"),))


def compiled(spec: ContainerSpec, image: ImageConfig = ImageConfig(), **rest: Any) -> Instructions:  # noqa: B008
    options: dict[str, Any] = {
        "identity": "f" * 64,
        "hostname": "host",
        "environment": (),
        "log_dir": "/logs",
        "run_dir": "/run/c",
        "account": Account(home="/root"),
        "machine": Machine(),
        "cgroup": CGROUP,
    }
    return compile_container(spec, image, ROOT, **{**options, **rest})


RUN = ContainerSpec(command=("run",))


@pytest.mark.parametrize(
    ("spec", "image", "argv"),
    [
        (ContainerSpec(), ImageConfig(command=("a",)), ("a",)),
        (ContainerSpec(), ImageConfig(entrypoint=("e",), command=("a",)), ("e", "a")),
        (ContainerSpec(command=("b",)), ImageConfig(entrypoint=("e",), command=("a",)), ("e", "b")),
        (ContainerSpec(entrypoint=("f",)), ImageConfig(entrypoint=("e",), command=("a",)), ("f",)),
        (ContainerSpec(entrypoint=("f",), command=("b",)), ImageConfig(command=("a",)), ("f", "b")),
        (ContainerSpec(entrypoint=(), command=("b",)), ImageConfig(entrypoint=("e",)), ("b",)),
    ],
)
def test_command(spec: ContainerSpec, image: ImageConfig, argv: tuple[str, ...]) -> None:
    assert command(spec, image) == argv


def test_logs_are_bounded() -> None:
    logs = compiled(RUN).logs
    assert (logs.max_size, logs.max_files) == (10_000_000, 3)


def test_init_is_ours_or_the_one_of_the_settings() -> None:
    ours = compiled(replace(RUN, init=True))
    assert (ours.init, ours.process.argv) == (True, ("run",))
    named = compiled(replace(RUN, init=True), init="/usr/bin/tini")
    assert (named.init, named.process.argv) == (False, ("/sbin/docker-init", "--", "run"))
    (bind,) = named.mounts
    assert (bind.source, bind.target, bind.read_only) == ("/usr/bin/tini", "/sbin/docker-init", True)
    assert compiled(RUN, init="/usr/bin/tini") == compiled(RUN)


@pytest.mark.parametrize("image", [ImageConfig(), ImageConfig(command=("",))])
def test_no_command(image: ImageConfig) -> None:
    with pytest.raises(ActionError) as caught:
        command(ContainerSpec(), image)
    assert caught.value.reason == "bad-request"


def test_environment_order_and_override() -> None:
    image = ImageConfig(environment=("PATH=/app", "A=image", "GONE=x"))
    made = compiled(RUN, image, environment=["A=own", "B=b", "GONE"])
    assert made.process.environment == ("PATH=/app", "HOSTNAME=host", "A=own", "B=b", "HOME=/root")
    assert compiled(ContainerSpec(command=("x",), tty=True)).process.environment[2] == "TERM=xterm"
    assert "HOME=/h" in compiled(RUN, environment=["HOME=/h"]).process.environment


def test_own_files_give_way_to_mounts() -> None:
    mounts = [BindMount(source="/x", target="/etc/hosts"), BindMount(source="/y", target="/")]
    made = compiled(RUN, mounts=mounts, files_dir="/f")
    assert [mount.target for mount in made.mounts] == ["/", "/etc/resolv.conf", "/etc/hostname", "/etc/hosts"]
    assert made.mounts[-1].source == "/x"


def test_tmpfs() -> None:
    spec = ContainerSpec(
        command=("x",),
        mounts=(
            Mount(
                type="tmpfs", target="/t", tmpfs_size=5, tmpfs_mode=0o700, tmpfs_options="exec,uid=3", read_only=True
            ),
            Mount(type="volume", target="/v", source="v"),
        ),
    )
    assert compiled(spec).tmpfs == (TmpfsMount(target="/t", size=5, mode=0o700, options=("exec", "uid=3", "ro")),)


def test_limits_are_clamped_with_a_warning() -> None:
    spec = ContainerSpec(
        command=("x",), ulimits=(Ulimit(name="nofile", soft=100, hard=50000), Ulimit(name="core", soft=-1, hard=-1))
    )
    made = compiled(spec, machine=Machine(hard_limits={7: 20000, 4: -1}))
    assert made.process.rlimits == (Rlimit(resource=7, soft=100, hard=20000), Rlimit(resource=4, soft=-1, hard=-1))
    assert len(made.warnings) == 1
    free = compiled(spec)
    assert (free.process.rlimits[0].hard, free.warnings) == (50000, ())


def test_security() -> None:
    plain = compiled(RUN)
    assert plain.process.security.capabilities == 0xA80425FB
    assert plain.process.security.seccomp
    assert "/proc/kcore" in plain.masked_paths
    privileged = compiled(ContainerSpec(command=("x",), privileged=True))
    assert (privileged.process.security.seccomp, privileged.masked_paths, privileged.readonly_paths) == (b"", (), ())
    loose = compiled(ContainerSpec(command=("x",), security_opt=("seccomp=unconfined", "no-new-privileges:true")))
    assert loose.process.security.seccomp == b""
    assert loose.process.security.no_new_privileges


@pytest.mark.parametrize(
    "spec",
    [
        ContainerSpec(command=("x",), ulimits=(Ulimit(name="nofiles", soft=1, hard=1),)),
        ContainerSpec(command=("x",), cap_add=("FLY",)),
        ContainerSpec(command=("x",), security_opt=("magic",)),
        ContainerSpec(command=("x",), security_opt=("seccomp=/profile.json",)),
    ],
)
def test_impossible_specs(spec: ContainerSpec) -> None:
    with pytest.raises(ActionError) as caught:
        compiled(spec)
    assert caught.value.reason == "bad-request"


def test_exec() -> None:
    made = compiled(ContainerSpec(command=("x",), working_dir="/w"), environment=["A=1", "B=2"])
    spec = ExecSpec(argv=("ls",), environment=("A=3", "B"), tty=True)
    given = compile_exec(made, spec, Account(uid=5, home="/five"), exec_id="e", machine=Machine())
    environment = given.process.environment
    assert {"A=3", "TERM=xterm", "HOME=/five"} <= set(environment)
    assert not any(row.startswith("B=") for row in environment)
    assert (given.process.working_dir, given.process.tty) == ("/w", True)
    assert given.process.security == made.process.security
    strong = compile_exec(made, ExecSpec(argv=("x",), privileged=True), Account(), exec_id="e", machine=Machine())
    assert (strong.process.security.capabilities, strong.process.security.seccomp) == ((1 << 41) - 1, b"")


def test_instructions_survive_the_wire() -> None:
    spec = ContainerSpec(command=("x", "\udcff"), ulimits=(Ulimit(name="nofile", soft=1, hard=2),), tty=True)
    made = compiled(spec, files_dir="/f", environment=["S=\udc80"])
    assert codec.decode(codec.encode(made), Instructions) == made
    given = compile_exec(made, ExecSpec(argv=("y",)), Account(groups=(1, 2)), exec_id="e", machine=Machine())
    assert codec.decode(codec.encode(given), ExecInstructions) == given


@pytest.mark.parametrize(
    ("name", "number"), [("SIGTERM", 15), ("term", 15), ("9", 9), ("SIGRTMIN+3", 37), ("RTMIN", 34), ("SIGHUP", 1)]
)
def test_signals(name: str, number: int) -> None:
    assert signal_number(name) == number


@pytest.mark.parametrize("name", ["", "0", "65", "SIGNOPE", "RTMIN+x"])
def test_unknown_signals(name: str) -> None:
    with pytest.raises(ActionError):
        signal_number(name)


def test_what_a_version_of_cgroups_lacks_is_told() -> None:
    spec = replace(RUN, resources=Resources(swappiness=0, oom_kill_disable=True))
    assert compiled(spec).warnings == ()
    assert len(compiled(spec, cgroup=CgroupHandle(version=2, paths=("/x",))).warnings) == 2


def test_sharing_and_devices() -> None:
    null = Device(path="/dev/null", kind="c", major=9, minor=9)
    made = compiled(
        replace(RUN, uts_mode="host", cgroup_mode="host", log=LogConfig(driver="none")),
        devices=(null,),
        join_pid="a" * 64,
        join_ipc="b" * 64,
    )
    assert (made.uts_host, made.cgroup_host, made.join_pid[:1], made.join_ipc[:1]) == (True, True, "a", "b")
    assert [device.major for device in made.devices if device.path == "/dev/null"] == [9], "one node a path"
    assert made.logs.max_files == 1
