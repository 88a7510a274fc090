"""The options of `container run`, docker run's spellings, and the ContainerSpec that they say."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from stackfile.cli import detach, quantities
from stackfile.cli.arguments import Arguments, option
from stackfile.cli.mounts import mount_of, parse_tmpfs, parse_volume
from stackfile.cli.ports import parse_port
from stackfile.errors import UsageError
from stackfile.model.container import ContainerSpec, LogConfig
from stackfile.model.stack import Attachment, Healthcheck, Mount, Port, Resources, RestartPolicy, Ulimit

OPTIONS = (
    option("-d --detach", "print the id and return"),
    option("--rm", "remove the container and its anonymous volumes when it ends"),
    option("-i --interactive", "keep stdin open"),
    option("-t --tty", "a TTY"),
    option("--name", "name of the container", "NAME"),
    option("-e --env", "environment variable; NAME alone takes ours", "NAME=VALUE", repeat=True),
    option("--env-file", "file of environment variables", "FILE", repeat=True),
    option("-u --user", "user, group", "USER[:GROUP]"),
    option("--group-add", "another group", "GROUP", repeat=True),
    option("-w --workdir", "working directory", "DIR"),
    option("--entrypoint", "instead of the image's", "COMMAND"),
    option("-h --hostname", "host name", "NAME"),
    option("--domainname", "domain name", "NAME"),
    option("-l --label", "label", "NAME=VALUE", repeat=True),
    option("-p --publish", "publish a port", "[IP:][PORT:]PORT[/PROTOCOL]", repeat=True),
    option("-P --publish-all", "publish the exposed ports on free ports"),
    option("--expose", "port that is served", "PORT[/PROTOCOL]", repeat=True),
    option("-v --volume", "bind a directory or a volume", "SOURCE:TARGET[:OPTIONS]", repeat=True),
    option("--mount", "mount", "type=…,source=…,target=…", repeat=True),
    option("--tmpfs", "tmpfs", "TARGET[:OPTIONS]", repeat=True),
    option("--network", "network by name, or none, host, container:NAME", "NAME", repeat=True, also="--net"),
    option("--network-alias", "another name in the network", "NAME", repeat=True, also="--net-alias"),
    option("--ip", "IPv4 address in the network", "ADDRESS"),
    option("--mac-address", "MAC address in the network", "ADDRESS"),
    option("--add-host", "line of /etc/hosts", "NAME:ADDRESS", repeat=True),
    option("--dns", "DNS server", "ADDRESS", repeat=True),
    option("--dns-search", "DNS search domain", "DOMAIN", repeat=True),
    option("--dns-option", "option of resolv.conf", "OPTION", repeat=True, also="--dns-opt"),
    option("-m --memory", "memory limit", "SIZE"),
    option("--memory-reservation", "memory soft limit", "SIZE"),
    option("--memory-swap", "memory and swap; -1 without limit", "SIZE"),
    option("--cpus", "CPUs", "N"),
    option("-c --cpu-shares", "relative weight", "N"),
    option("--cpuset-cpus", "CPUs to use", "0-1,3"),
    option("--pids-limit", "processes; -1 without limit", "N"),
    option("--restart", "no, always, unless-stopped, on-failure[:N]", "POLICY"),
    option("--cap-add", "capability to add", "CAP", repeat=True),
    option("--cap-drop", "capability to drop", "CAP", repeat=True),
    option("--security-opt", "security option", "OPTION", repeat=True),
    option("--privileged", "all capabilities and devices"),
    option("--read-only", "read-only root file system"),
    option("--shm-size", "size of /dev/shm", "SIZE"),
    option("--init", "an init process that reaps"),
    option("--stop-signal", "signal that stops it", "SIGNAL"),
    option("--stop-timeout", "seconds until it is killed", "N"),
    option("--ulimit", "resource limit", "NAME=SOFT[:HARD]", repeat=True),
    option("--sysctl", "sysctl of its namespaces", "NAME=VALUE", repeat=True),
    option("--oom-score-adj", "preference of the OOM killer", "N"),
    option("--pid", "host or container:NAME", "MODE"),
    option("--ipc", "host, private, shareable or container:NAME", "MODE"),
    option("--health-cmd", "health check, by the shell", "COMMAND"),
    option("--health-interval", "time between checks (30s)", "DURATION"),
    option("--health-timeout", "time that a check may take (30s)", "DURATION"),
    option("--health-retries", "failures until unhealthy (3)", "N"),
    option("--health-start-period", "time in which failures do not count", "DURATION"),
    option("--health-start-interval", "time between checks until then (5s)", "DURATION"),
    option("--no-healthcheck", "without the image's health check"),
    option("--log-opt", "max-size=SIZE, max-file=N", "NAME=VALUE", repeat=True),
    option("--pull", "when to pull the image: missing or never", "POLICY", choices=("missing", "never")),
    detach.OPTION,
    option("--sig-proxy", "hand signals on (the default); --sig-proxy=false ends this command instead"),
)

_DETACHED_MODES = ("none", "host", "bridge", "default")


def spec_of(arguments: Arguments, environ: Mapping[str, str], directory: str) -> ContainerSpec:
    """The container that the command line says. Raises UsageError."""
    image, *command = arguments.positional
    entrypoint = arguments.text("entrypoint")
    grace = arguments.integer("stop-timeout")
    stdin = arguments.flag("interactive")
    mode, networks = _networks(arguments)
    return ContainerSpec(
        name=arguments.text("name"),
        image=image,
        image_name=image,
        entrypoint=((entrypoint,) if entrypoint else ()) if arguments.given("entrypoint") else None,
        command=tuple(command) or None,
        environment=dict(_environment(arguments, environ, directory)),
        user=arguments.text("user"),
        working_dir=arguments.text("workdir"),
        hostname=arguments.text("hostname"),
        domainname=arguments.text("domainname"),
        labels=arguments.pairs("label"),
        ports=_ports(arguments),
        publish_all=arguments.flag("publish-all"),
        expose=arguments.texts("expose"),
        mounts=_mounts(arguments, directory),
        networks=networks,
        network_mode=mode,
        healthcheck=_healthcheck(arguments),
        restart=_restart(arguments.text("restart", "no"), arguments.flag("rm")),
        resources=_resources(arguments),
        stop_signal=arguments.text("stop-signal"),
        stop_grace_period=None if grace is None else grace * 10**9,
        tty=arguments.flag("tty"),
        stdin_open=stdin,
        stdin_once=stdin and not arguments.flag("detach"),
        init=arguments.flag("init"),
        read_only=arguments.flag("read-only"),
        privileged=arguments.flag("privileged"),
        cap_add=arguments.texts("cap-add"),
        cap_drop=arguments.texts("cap-drop"),
        security_opt=arguments.texts("security-opt"),
        group_add=arguments.texts("group-add"),
        shm_size=_size(arguments, "shm-size"),
        ulimits=tuple(_ulimit(text) for text in arguments.texts("ulimit")),
        extra_hosts=tuple(_host(text) for text in arguments.texts("add-host")),
        dns=arguments.texts("dns"),
        dns_search=arguments.texts("dns-search"),
        dns_options=arguments.texts("dns-option"),
        sysctls=arguments.pairs("sysctl"),
        oom_score_adj=arguments.integer("oom-score-adj") or 0,
        pid_mode=arguments.text("pid"),
        ipc_mode=arguments.text("ipc"),
        log=_log(arguments.pairs("log-opt")),
        auto_remove=arguments.flag("rm"),
    )


def read_env_file(path: str) -> list[str]:
    """Lines of a docker env file: `NAME=VALUE` or `NAME`, comments left out, nothing unquoted. Raises UsageError."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = [line.lstrip().rstrip("\r\n") for line in file]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("usage", f"--env-file: cannot read {path}", cause=str(error)) from error
    return [line for line in lines if line and not line.startswith("#")]


def _environment(arguments: Arguments, environ: Mapping[str, str], directory: str) -> list[tuple[str, str]]:
    """Files first, then -e. A name alone takes the caller's value, and is left out where there is none."""
    given = [line for path in arguments.texts("env-file") for line in read_env_file(os.path.join(directory, path))]
    result = []
    for item in (*given, *arguments.texts("env")):
        name, equals, value = item.partition("=")
        if not name:
            raise UsageError("usage", f"--env: {item!r} has no name before the =")
        if equals:
            result.append((name, value))
        elif name in environ:
            result.append((name, environ[name]))
    return result


def _ports(arguments: Arguments) -> tuple[Port, ...]:
    return tuple(port for text in arguments.texts("publish") for port in parse_port(text))


def _mounts(arguments: Arguments, directory: str) -> tuple[Mount, ...]:
    return (
        *(parse_volume(text, directory) for text in arguments.texts("volume")),
        *(mount_of(text, directory) for text in arguments.texts("mount")),
        *(parse_tmpfs(text) for text in arguments.texts("tmpfs")),
    )


def _networks(arguments: Arguments) -> tuple[str, tuple[Attachment, ...]]:
    """(network mode, memberships). The first network takes alias and addresses."""
    names = arguments.texts("network")
    modes = [name for name in names if name in _DETACHED_MODES or name.startswith("container:")]
    if modes and len(names) > 1:
        raise UsageError("usage", f"--network {modes[0]} stands alone")
    if modes:
        return ("" if modes[0] == "default" else modes[0]), ()
    attachments = tuple(Attachment(network=name) for name in names)
    if not attachments:
        return "", ()
    first = Attachment(
        network=names[0],
        aliases=arguments.texts("network-alias"),
        ipv4=arguments.text("ip"),
        mac=arguments.text("mac-address"),
    )
    return "", (first, *attachments[1:])


def _resources(arguments: Arguments) -> Resources:
    return Resources(
        memory=_size(arguments, "memory"),
        memory_reservation=_size(arguments, "memory-reservation"),
        memory_swap=-1 if arguments.text("memory-swap") == "-1" else _size(arguments, "memory-swap"),
        nano_cpus=quantities.cpus("cpus", arguments.text("cpus")) if arguments.given("cpus") else 0,
        cpu_shares=arguments.integer("cpu-shares") or 0,
        cpuset=arguments.text("cpuset-cpus"),
        pids=max(0, arguments.integer("pids-limit") or 0),
    )


def _size(arguments: Arguments, name: str) -> int:
    return quantities.size(name, arguments.text(name)) if arguments.given(name) else 0


def _healthcheck(arguments: Arguments) -> Healthcheck | None:
    if arguments.flag("no-healthcheck"):
        return Healthcheck(test=("NONE",))
    if not arguments.given("health-cmd"):
        return None
    times = {
        name: quantities.duration(
            f"health-{name}".replace("_", "-"), arguments.text(f"health-{name}".replace("_", "-"))
        )
        for name in ("interval", "timeout", "start_period", "start_interval")
        if arguments.given(f"health-{name}".replace("_", "-"))
    }
    retries = arguments.integer("health-retries")
    return Healthcheck(
        test=("CMD-SHELL", arguments.text("health-cmd")), retries=3 if retries is None else retries, **times
    )


def _restart(text: str, remove: bool) -> RestartPolicy:
    name, _, number = text.partition(":")
    if name not in ("no", "always", "unless-stopped", "on-failure") or (number and name != "on-failure"):
        raise UsageError("usage", f"--restart: {text!r} is no policy")
    if remove and name != "no":
        raise UsageError("usage", "--rm and --restart exclude each other")
    if number and not number.isdigit():
        raise UsageError("usage", f"--restart: {number!r} is no number of tries")
    return RestartPolicy(name=name, max_retries=int(number or 0))


def _ulimit(text: str) -> Ulimit:
    name, _, limits = text.partition("=")
    soft, _, hard = limits.partition(":")
    try:
        return Ulimit(name=name, soft=int(soft), hard=int(hard or soft))
    except ValueError as error:
        raise UsageError("usage", f"--ulimit: {text!r} is no NAME=SOFT[:HARD]") from error


def _host(text: str) -> str:
    """`name:address` or `name=address` as `name=address`."""
    name, equals, address = text.partition("=")
    if not equals:
        name, _, address = text.partition(":")
    if not name or not address:
        raise UsageError("usage", f"--add-host: {text!r} is no NAME:ADDRESS")
    return f"{name}={address}"


def _log(options: dict[str, str]) -> LogConfig:
    known: Sequence[str] = ("max-size", "max-file")
    for name in options:
        if name not in known:
            raise UsageError("usage", f"--log-opt: unknown option {name}")
    default = LogConfig()
    size = quantities.size("log-opt max-size", options["max-size"]) if "max-size" in options else default.max_size
    files = options.get("max-file", str(default.max_files))
    if not files.isdigit() or not int(files):
        raise UsageError("usage", f"--log-opt: max-file {files!r} is no number of files")
    return LogConfig(max_size=size, max_files=int(files))
