"""docker run's options as a ContainerSpec."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackfile.cli.arguments import Parser
from stackfile.cli.run_options import OPTIONS, read_env_file, spec_of
from stackfile.errors import UsageError
from stackfile.model.container import ContainerSpec
from stackfile.model.stack import Attachment, Healthcheck, Resources, RestartPolicy, Ulimit


def spec(*argv: str, environ: dict[str, str] | None = None, directory: str = "/") -> ContainerSpec:
    parser = Parser(OPTIONS)
    (arguments,) = parser.results
    arguments.positional = parser.parse(argv, trailing=True)
    return spec_of(arguments, environ or {}, directory)


def test_nothing_but_an_image() -> None:
    assert spec("busybox") == ContainerSpec(image="busybox", image_name="busybox")


def test_what_follows_the_image_is_the_command() -> None:
    made = spec("--rm", "-it", "busybox", "ls", "-l", "--name")
    assert made.command == ("ls", "-l", "--name")
    assert (made.auto_remove, made.tty, made.stdin_open, made.stdin_once) == (True, True, True, True)
    assert spec("-dit", "x").stdin_once is False


def test_environment(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# comment\nA=1\n\nB=two words\nHOME\n")
    made = spec("--env-file", "env", "-e", "A=2", "-e", "C", "-e", "D=", "x", environ={"HOME": "/h", "C": "3"},
                directory=str(tmp_path))  # fmt: skip
    assert made.environment == {"A": "2", "B": "two words", "HOME": "/h", "C": "3", "D": ""}
    assert "C" not in spec("-e", "C", "x").environment
    with pytest.raises(UsageError):
        read_env_file(str(tmp_path / "gone"))


def test_limits() -> None:
    made = spec("-m", "64m", "--cpus", ".5", "--pids-limit", "10", "--memory-swap", "-1", "--cpuset-cpus", "0", "x")
    assert made.resources == Resources(memory=64 << 20, nano_cpus=5 * 10**8, pids=10, memory_swap=-1, cpuset="0")
    assert spec("--ulimit", "nofile=10:20", "x").ulimits == (Ulimit(name="nofile", soft=10, hard=20),)


def test_networks() -> None:
    made = spec("--network", "a", "--network", "b", "--network-alias", "db", "--ip", "10.0.0.9", "x")
    assert made.networks == (
        Attachment(network="a", aliases=("db",), ipv4="10.0.0.9"),
        Attachment(network="b"),
    )
    assert spec("--network", "none", "x").network_mode == "none"
    assert spec("--net=container:c", "x").network_mode == "container:c"
    assert spec("--network", "default", "x") == spec("x")
    with pytest.raises(UsageError):
        spec("--network", "none", "--network", "a", "x")


@pytest.mark.parametrize(
    ("text", "policy"),
    [("no", RestartPolicy()), ("always", RestartPolicy(name="always")),
     ("on-failure:3", RestartPolicy(name="on-failure", max_retries=3))],
)  # fmt: skip
def test_restart(text: str, policy: RestartPolicy) -> None:
    assert spec("--restart", text, "x").restart == policy


def test_health() -> None:
    made = spec("--health-cmd", "true", "--health-interval", "2s", "--health-retries", "5",
                "--health-start-period", "1m", "x")  # fmt: skip
    assert made.healthcheck == Healthcheck(
        test=("CMD-SHELL", "true"), interval=2 * 10**9, retries=5, start_period=60 * 10**9
    )
    assert spec("--no-healthcheck", "x").healthcheck == Healthcheck(test=("NONE",))


def test_entrypoint_hosts_and_the_rest() -> None:
    made = spec("--entrypoint", "sh", "--add-host", "db:10.0.0.1", "--add-host", "v6=::1", "-h", "name",
                "--stop-timeout", "3", "--log-opt", "max-size=1m", "-l", "a=b", "x")  # fmt: skip
    assert (made.entrypoint, made.hostname) == (("sh",), "name")
    assert made.extra_hosts == ("db=10.0.0.1", "v6=::1")
    assert made.stop_grace_period == 3 * 10**9
    assert (made.log.max_size, made.labels) == (1 << 20, {"a": "b"})
    assert spec("--entrypoint", "", "x").entrypoint == ()


@pytest.mark.parametrize(
    "argv",
    [["--restart", "sometimes"], ["--restart", "always:3"], ["--rm", "--restart", "always"], ["--ulimit", "nofile"],
     ["--add-host", "db"], ["--log-opt", "colour=red"], ["--log-opt", "max-file=0"], ["-e", "=x"], ["-m", "much"]],
)  # fmt: skip
def test_wrong(argv: list[str]) -> None:
    with pytest.raises(UsageError):
        spec(*argv, "x")
