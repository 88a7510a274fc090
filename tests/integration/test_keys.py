"""Keys of services, looked at from inside the running containers: one stack, one start."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.conftest import Box

pytestmark = pytest.mark.root

STACK = """\
x-anything: {goes: here}
include: [part/stack.yaml]
images:
  app:
    from: scratch
    steps:
      - host: {programs: [/bin/busybox]}
      - run: [/bin/busybox, sh, -c, "b=/bin/busybox; $$b mkdir -p /bin; $$b --install -s /bin; $$b mkdir -m 777 /data"]
      - volume: /declared
services:
  base: &none
    profiles: [never]
    image: app
    command: [sleep, "600"]
    stop_signal: SIGKILL
  one:
    extends: base
    profiles: !reset
    hostname: first
    init: true
    read_only: true
    user: "65534:65534"
    group_add: ["77"]
    working_dir: /tmp
    stop_grace_period: 3s
    environment: {OWN: o, FILE: own}
    env_file: [{path: a.env}, {path: missing.env, required: false}, {path: raw.env, format: raw}]
    labels: {seen: "yes"}
    label_file: labels.env
    annotations: {note: n}
    tmpfs: ["/tmp", "/scratch:size=1m,mode=700"]
    shm_size: 8m
    ulimits: {nofile: {soft: 200, hard: 300}, core: 0}
    extra_hosts: ["elsewhere:10.9.8.7"]
    dns_search: [corp.test]
    sysctls: {net.ipv4.ip_unprivileged_port_start: "81"}
    oom_score_adj: 300
    cap_drop: [ALL]
    cap_add: [NET_BIND_SERVICE]
    security_opt: ["no-new-privileges:true"]
    volumes:
      - "./made/by/us:/bound:ro"
      - {type: volume, source: data, target: /data}
      - {type: bind, source: ./tree, target: /shallow, bind: {recursive: disabled}}
    configs: [{source: text, target: /etc/text, uid: "65534", gid: "7", mode: 0440}]
    secrets: [{source: pw, target: own-name, mode: 0400, uid: "65534"}, printed]
    mem_limit: 64m
    mem_swappiness: 20
    cpu_period: 50000
    cpu_quota: 25000
    cpu_shares: 300
    pids_limit: 50
    platform: linux
  two:
    image: app
    command: [sh, -c, "echo logged; exec sleep 600"]
    stop_signal: SIGKILL
    pid: "service:one"
    ipc: "service:one"
    volumes_from: ["one:ro"]
    links: ["three:other"]
    logging: {driver: none}
    devices: ["/dev/null:/dev/made:rw", /dev/zero]
    device_cgroup_rules: ["c 10:200 rw"]
    credential_spec: {file: x.json}
  three:
    image: app
    command: [sleep, "600"]
    stop_signal: SIGKILL
    uts: host
    cgroup: host
    userns_mode: host
    privileged: true
    networks: {fixed: {mac_address: "02:00:00:00:00:07"}, default: {priority: 10}}
    post_start: [{command: [sh, -c, "echo $$WHO >/after-start"], environment: {WHO: hook}, user: root}]
    pre_stop: [{command: [sh, -c, "echo bye >/data/before-stop"]}]
    volumes: ["data:/data"]
    logging: {driver: local, options: {max-size: 100k, max-file: "2"}}
networks:
  fixed:
    internal: true
    ipam: {config: [{subnet: 10.211.0.0/24, ip_range: 10.211.0.64/26, aux_addresses: {router: 10.211.0.64}}]}
volumes: {data: }
configs: {text: {content: "hello"}}
secrets: {pw: {content: s3cret}, printed: {command: [sh, -c, "echo $$CALLER-$$PWD"]}}
"""
PART = """\
services:
  four: {image: app, command: [sleep, "600"], stop_signal: SIGKILL, volumes: ["./here:/here"], env_file: four.env}
"""


class Inside:
    """A shell in the services of the box's stack."""

    def __init__(self, box: Box) -> None:
        self.box = box

    def __call__(self, service: str, **scripts: str) -> dict[str, str]:
        """The output of several scripts in one exec."""
        whole = "\n".join(f"echo ={name}\n{script}" for name, script in scripts.items())
        found: dict[str, list[str]] = {}
        for line in self.box.run("exec", "-T", service, "sh", "-c", whole, code=None).stdout.splitlines():
            if line[:1] == "=" and line[1:] in scripts:
                current = found.setdefault(line[1:], [])
            else:
                current.append(line)
        return {name: "\n".join(lines) for name, lines in found.items()}


@pytest.fixture
def inside(box: Box) -> Inside:
    work = box.directory
    box.stack(STACK)
    (work / "part").mkdir()
    (work / "tree").mkdir()
    for name, text in {
        "part/stack.yaml": PART,
        "part/four.env": "FOUR=4\n",
        "a.env": "FILE=file\nOTHER='x y'\n",
        "raw.env": 'RAW="kept"\n',
        "labels.env": "from=file\n",
    }.items():
        (work / name).write_text(text)
    box.environment["CALLER"] = "me"
    box.run("up")
    return Inside(box)


def test_keys_inside_the_containers(box: Box, inside: Inside) -> None:
    _process(inside)
    _limits(box)
    _sharing(box, inside)
    _records(box)
    _nothing_differs(box)
    _another_stack(box, inside)
    _end(box)


def _process(inside: Inside) -> None:
    found = inside(
        "one",
        who="hostname; pwd; id -u; id -g; id -G",
        environment="env",
        status="cat /proc/self/status",
        score="cat /proc/1/oom_score_adj",
        ulimits="ulimit -Sn; ulimit -Hn; ulimit -c",
        sysctl="cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
        processes="ps -o pid,args",
        written="touch /no 2>/dev/null || echo refused; touch /tmp/yes && echo done",
        mounts="cat /proc/mounts",
        hosts="cat /etc/hosts /etc/resolv.conf",
        config="stat -c '%u:%g:%a' /etc/text; cat /etc/text; echo",
        secret="stat -c '%u:%a' /run/secrets/own-name; cat /run/secrets/own-name; echo",
        printed="cat /run/secrets/printed; echo",
    )
    assert found["who"].split() == ["first", "/tmp", "65534", "65534", "65534", "77"]
    assert {"OWN=o", "FILE=own", "OTHER=x y", 'RAW="kept"'} <= set(found["environment"].splitlines())
    status = dict(line.split(":\t") for line in found["status"].splitlines() if ":\t" in line)
    assert (int(status["CapBnd"], 16), status["NoNewPrivs"]) == (1 << 10, "1")
    assert found["score"] in ("300", "0")  # a machine may refuse it
    assert found["ulimits"].split() == ["200", "300", "0"]
    assert found["sysctl"] == "81"
    programs = [line.split(None, 1) for line in found["processes"].splitlines()]
    sleeping = [pid for pid, args in programs if args.startswith("sleep 600")]
    assert len(sleeping) == 2, "its own and that of service two"
    assert "1" not in sleeping, "the init is process 1"
    _files(inside.box, found)


def _files(box: Box, found: dict[str, str]) -> None:
    assert found["written"].split() == ["refused", "done"]
    mounts = {line.split()[1]: line.split()[3] for line in found["mounts"].splitlines()}
    assert "size=8192k" in mounts["/dev/shm"]
    assert "size=1024k" in mounts["/scratch"]
    assert "ro" in mounts["/bound"].split(",")
    assert (box.directory / "made/by/us").is_dir()
    assert "10.9.8.7\telsewhere" in found["hosts"]
    assert "search corp.test" in found["hosts"]
    assert found["config"].split() == ["65534:7:440", "hello"]
    assert found["secret"].split() == ["65534:400", "s3cret"]
    assert found["printed"] == f"me-{box.directory}"


def _limits(box: Box) -> None:
    identity = next(row["id"] for row in box.containers() if row["service"] == "one")

    def fact(controller: str, name: str) -> str:
        (path,) = Path("/sys/fs/cgroup", controller, box.settings.cgroup_parent).glob(f"{identity}*/{name}")
        return path.read_text().strip()

    if os.path.isdir("/sys/fs/cgroup/memory"):
        assert fact("memory", "memory.limit_in_bytes") == str(64 << 20)
        assert fact("memory", "memory.swappiness") == "20"
        assert (fact("cpu", "cpu.cfs_period_us"), fact("cpu", "cpu.cfs_quota_us")) == ("50000", "25000")
        assert fact("cpu", "cpu.shares") == "300"
        assert fact("pids", "pids.max") == "50"
    else:
        assert fact("", "memory.max") == str(64 << 20)
        assert fact("", "cpu.max") == "25000 50000"


def _sharing(box: Box, inside: Inside) -> None:
    spaces = "for n in pid ipc uts cgroup; do readlink /proc/self/ns/$n; done"
    one = inside("one", spaces=spaces, write="echo shared >/dev/shm/word; echo mine >/data/word")
    two = inside(
        "two",
        spaces=spaces,
        read="cat /dev/shm/word /data/word",
        written="touch /data/no 2>/dev/null || echo refused",
        name="nslookup other 127.0.0.11 >/dev/null && echo found",
        devices="echo x >/dev/made && head -c 2 /dev/zero | od -An -tx1; stat -c %t:%T /dev/made",
        rules="mknod /tun c 10 200; (: </tun) 2>&1; mknod /fuse c 10 229; (: </fuse) 2>&1",
    )
    assert one["spaces"].split()[:2] == two["spaces"].split()[:2]
    assert one["spaces"].split()[2] != two["spaces"].split()[2]
    assert two["read"].split() == ["shared", "mine"]
    assert two["written"] == "refused"
    assert two["name"] == "found"
    assert two["devices"].split() == ["00", "00", "1:3"]
    assert "/tun" not in two["rules"]
    assert "fuse: Operation not permitted" in two["rules"]
    assert box.run("logs", "two").stdout.strip() == ""
    three = inside(
        "three",
        spaces=spaces,
        host="hostname",
        hook="cat /after-start",
        mac="cat /sys/class/net/*/address",
        address="ip -o -4 addr",
        devices="ls /dev | wc -l; ls /dev/made 2>&1",
    )
    for name, link in zip(("uts", "cgroup"), three["spaces"].split()[2:], strict=True):
        assert link == os.readlink(f"/proc/self/ns/{name}")
    assert three["host"] == os.uname().nodename
    assert three["hook"] == "hook"
    assert "02:00:00:00:00:07" in three["mac"].split()
    assert "10.211.0.65/24" in three["address"]
    assert int(three["devices"].split()[0]) > 20, "privileged: all devices"
    four = inside("four", text="echo $FOUR; grep -c ' /here ' /proc/mounts")
    assert four["text"].split() == ["4", "1"]
    assert (box.directory / "part/here").is_dir()


def _records(box: Box) -> None:
    plan = box.json("plan")
    notes = [(note["address"], note["path"]) for note in plan["notes"] if note["code"] == "SF2103"]
    assert notes == [("service.two", "/credential_spec")]
    assert [action for action in plan["actions"] if action["action"] != "keep"] == []


def _nothing_differs(box: Box) -> None:
    before = {row["id"] for row in box.containers()}
    box.run("up")
    assert {row["id"] for row in box.containers()} == before


OTHER = """\
services:
  peer:
    image: work/app
    pull_policy: never
    command: [sleep, "600"]
    stop_signal: SIGKILL
    networks: [theirs]
    volumes: ["files:/files"]
    depends_on: {work/three: {condition: service_started}}
    secrets: [{source: pw, on_change: none}]
    configs: [text]
networks: {theirs: {external: {stack: work, network: default}}}
volumes: {files: {external: true, name: work_data}}
secrets: {pw: {external: {stack: work, secret: pw}}}
configs: {text: {external: true, name: work_text}}
"""


def _another_stack(box: Box, inside: Inside) -> None:
    (box.directory / "other.stack.yaml").write_text(OTHER)
    other = ("-f", "other.stack.yaml", "-p", "other")
    box.run(*other, "up")
    script = "cat /run/secrets/pw /text /files/word; nslookup three.work 127.0.0.11 >/dev/null && echo found"
    found = box.run(*other, "exec", "-T", "peer", "sh", "-c", script).stdout
    assert found.split() == ["s3crethellomine", "found"]
    plan = json.loads(box.run(*other, "plan", "--json").stdout)
    assert [action for action in plan["actions"] if action["action"] != "keep"] == []
    hook = "    post_start: [{command: [sh, -c, 'echo bad; exit 3']}]\n"
    (box.directory / "other.stack.yaml").write_text(
        OTHER.replace("    image: work/app\n", f"    image: work/app\n{hook}")
    )
    result = box.run(*other, "up", "--force-recreate", code=1)
    assert "exited with 3" in result.stdout + result.stderr
    box.run(*other, "down", "-v")
    missing = OTHER.replace("secret: pw}", "secret: nope}")
    (box.directory / "other.stack.yaml").write_text(missing)
    (error,) = json.loads(box.run("--json", *other, "plan", code=1).stdout)["errors"]
    assert (error["reason"], error["at"]["line"]) == ("not-found", 14)


def _end(box: Box) -> None:
    volume = next(Path(box.settings.root).glob("volumes/*data*"))
    box.run("stop", "three")
    found = [path.read_text().strip() for path in volume.rglob("before-stop")]
    assert found == ["bye"]
    box.run("down", "-v")
    assert box.containers() == []


def test_a_platform_that_this_machine_is_not(box: Box) -> None:
    box.stack("images: {i: {from: scratch}}\nservices:\n  a: {image: i, command: [x], platform: linux/s390x}\n")
    end = json.loads(box.run("--json", "up", code=1).stdout.splitlines()[-1])
    assert (end["errors"][0]["reason"], end["errors"][0]["at"]["line"]) == ("platform-missing", 3)
