"""The daemon's HTTP API by our own client, and what it does when clients or itself go away."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import stackfile
from stackfile.api.client import Client
from stackfile.errors import ActionError, ConflictError, EngineError, NotFoundError, StackfileError
from stackfile.model.container import ContainerSpec, ExecSpec
from stackfile.model.observed import DownOptions
from stackfile.model.stack import NetworkResource, Service, Stack
from tests.integration.daemons import Served, served

__all__ = ["served"]
pytestmark = pytest.mark.root
LOOP = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.05; done"


@pytest.fixture(autouse=True)
def cleared(served: Served) -> Iterator[None]:
    yield
    served.clear()


@pytest.fixture
def client(served: Served) -> Client:
    return served.client


def create(client: Client, *argv: str, **fields: Any) -> str:
    return client.create(ContainerSpec(image="busybox", command=argv, **fields))


def raw(served: Served, request: bytes) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20)
    connection.connect(served.box.settings.socket)
    connection.sendall(request)
    return connection


def answer(served: Served, request: bytes) -> tuple[int, dict[str, str], bytes]:
    with raw(served, request) as connection:
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, dict(response.getheaders()), response.read()


def until(condition: Any, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_ping(client: Client) -> None:
    ping = client.ping()
    assert (ping.version, ping.api, ping.engine["kind"]) == (stackfile.__version__, 1, "embedded")
    os.kill(ping.pid, 0)


@pytest.mark.parametrize("path", ["/_ping", "/v1.24/_ping", "/v1.99/_ping"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_docker_ping(served: Served, method: str, path: str) -> None:
    status, headers, _ = answer(served, f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert (status, headers["Api-Version"], headers["Ostype"]) == (200, "1.42", "linux")


def test_only_root_reaches_the_socket(served: Served) -> None:
    assert os.stat(served.box.settings.socket).st_mode & 0o777 == 0o660


@pytest.mark.parametrize(
    ("request_line", "body", "status"),
    [
        ("GET /nothing", b"", 404),
        ("PUT /containers/json", b"", 405),
        ("GET /containers/nothing/json", b"", 404),
        ("POST /containers/create", b"{", 400),
        ("POST /containers/create", b"[]", 400),
        ("POST /containers/create", b'{"Image":"nothing"}', 404),
        ("POST /containers/create", b'{"Image":"busybox","Env":5}', 400),
        ("GET /containers/json?filters={", b"", 400),
        ("POST /stackfile/v1/jobs", b"{}", 400),
        ("POST /stackfile/v1/jobs", b'{"kind":"dance"}', 400),
        ("POST /stackfile/v1/jobs", b'{"kind":"up"}', 400),
        ("POST /stackfile/v1/plan", b'{"stack":{}}', 400),
        ("GET /stackfile/v1/jobs/none/events", b"", 404),
        ("PUT /stackfile/v1/blobs/none", b"x", 400),
        ("PUT /stackfile/v1/blobs/sha256:" + "0" * 64, b"x", 400),
    ],
)
def test_errors_are_json_without_a_traceback(served: Served, request_line: str, body: bytes, status: int) -> None:
    head = f"{request_line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    got, headers, text = answer(served, head.encode() + body)
    assert got == status, text
    assert headers["Content-Type"].startswith("application/json")
    assert json.loads(text)["message"]
    assert b"Traceback" not in text


def test_a_body_that_is_too_large_is_refused(served: Served) -> None:
    size = 100 << 20
    head = f"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
    status, _, text = answer(served, head.encode() + b"[" * size)
    assert (status, "larger than" in json.loads(text)["message"]) == (400, True)
    assert served.client.ping()


def test_nothing_is_done_for_a_client_of_another_version(client: Client) -> None:
    other = {"Stackfile-Version": "0.0.1"}
    with pytest.raises(EngineError) as caught:
        client._transport.request("POST", "/stackfile/v1/containers", body=b"{}", headers=other)
    assert caught.value.reason == "engine-incompatible"


def test_our_errors_cross_the_border(client: Client) -> None:
    with pytest.raises(NotFoundError):
        client.container("nothing")
    with pytest.raises(NotFoundError) as missing:
        client.create(ContainerSpec(image="nothing"))
    assert missing.value.reason == "image-not-found"
    create(client, "true", name="taken")
    with pytest.raises(ConflictError) as taken:
        create(client, "true", name="taken")
    assert taken.value.reason == "name-taken"
    with pytest.raises(ConflictError) as stopped:
        client.kill("taken")
    assert stopped.value.reason == "not-running"
    with pytest.raises(ActionError) as failed:
        client.start(create(client, "nothing-of-this-name"))
    assert failed.value.reason == "command-not-found"


def test_attach_wait_start(client: Client) -> None:
    identity = create(client, "sh", "-c", "cat; echo err >&2; exit 3", stdin_open=True, stdin_once=True)
    with client.attach(identity, stdin=True) as stream:
        wait = client.wait_started(identity, "next-exit")
        stream.send(b"before start\n")
        stream.close_write()
        client.start(identity)
        output = {1: b"", 2: b""}
        while (piece := stream.read())[1]:
            output[piece[0]] += piece[1]
    assert output == {1: b"before start\n", 2: b"err\n"}
    assert wait().exit_code == 3


@pytest.mark.parametrize("condition", ["not-running", "next-exit", "removed"])
def test_wait(client: Client, condition: str) -> None:
    identity = create(client, "sh", "-c", "sleep 0.3; exit 4")
    ended: list[int] = []
    if condition == "not-running":
        assert client.wait(identity).exit_code == 0
        client.start(identity)
    wait = client.wait_started(identity, condition)
    thread = threading.Thread(target=lambda: ended.append(wait().exit_code))
    thread.start()
    client.start(identity)
    if condition == "removed":
        until(lambda: not client.container(identity).state.running)
        time.sleep(0.2)
        assert ended == []
        client.remove(identity)
    thread.join(10)
    assert ended == [4]


def test_logs(client: Client) -> None:
    identity = create(client, "sh", "-c", "for i in 1 2 3; do echo $i; done; echo e >&2; printf partial")
    client.start(identity)
    client.wait(identity)
    lines = list(client.logs(identity))
    assert [line.data for line in lines if line.stream == 1] == [b"1\n", b"2\n", b"3\n", b"partial"]
    assert [line.data for line in lines if line.stream == 2] == [b"e\n"]
    assert [line.time_ns for line in lines] == sorted(line.time_ns for line in lines)
    assert [line.data for line in client.logs(identity, tail=1, stderr=False)] == [b"partial"]
    assert list(client.logs(identity, since_ns=lines[-1].time_ns + 1)) == []


def test_logs_of_a_terminal(client: Client) -> None:
    identity = create(client, "sh", "-c", "echo one; echo two", tty=True)
    client.start(identity)
    client.wait(identity)
    assert [line.data for line in client.logs(identity)] == [b"one\r\n", b"two\r\n"]


def test_exec(client: Client) -> None:
    identity = create(client, "sleep", "99")
    client.start(identity)
    command = client.exec_create(identity, ExecSpec(argv=("sh", "-c", "cat; exit 5"), stdin=True))
    with client.exec_start(command) as stream:
        stream.send(b"text")
        stream.close_write()
        assert stream.read() == (1, b"text")
        assert stream.read()[1] == b""
    until(lambda: client.exec_get(command).exit_code == 5)
    missing = client.exec_create(identity, ExecSpec(argv=("nothing-of-this-name",)))
    with pytest.raises(ActionError) as caught:
        client.exec_start(missing)
    assert caught.value.reason == "command-not-found"


def test_events_resume_without_gap_or_double(client: Client) -> None:
    first = [event.sequence for event in client.events(since=0, follow=False)]
    identity = create(client, "true", labels={"com.docker.compose.project": "p"})
    client.start(identity)
    client.wait(identity)
    rest = list(client.events(since=first[-1] if first else 0, follow=False))
    assert [event.sequence for event in rest] == sorted({event.sequence for event in rest})
    assert not set(first) & {event.sequence for event in rest}
    mine = [event.action for event in client.events(since=0, follow=False, project="p") if event.id == identity]
    assert mine[:1] == ["create"]
    assert {"start", "die"} <= set(mine)


def stack(*services: Service) -> Stack:
    return Stack(
        name="proj",
        directory="/nowhere",
        services={service.name: service for service in services},
        networks={"default": NetworkResource(name="default", full_name="proj_default")},
    )


def test_jobs_plan_up_down(client: Client) -> None:
    wanted = stack(Service(name="web", image="busybox", command=("sleep", "99")))
    assert client.plan(wanted).summary.create > 0
    events = list(client.up(wanted))
    assert (events[0].type, events[-1].type, events[-1].status) == ("job", "end", "done")
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert list(client.job_events(events[0].id, after=2)) == events[2:]
    assert [record.spec.name for record in client.containers("proj")] == ["proj-web-1"]
    assert [project.name for project in client.projects()] == ["proj"]
    assert client.plan(wanted).summary.changes == 0
    assert list(client.lifecycle("stop", "proj", timeout=0))[-1].status == "done"
    assert not client.container("proj-web-1").state.running
    assert list(client.down("proj", DownOptions(volumes=True)))[-1].status == "done"
    assert client.containers("proj") == []
    assert {job.kind for job in client.jobs()} >= {"up", "stop", "down"}


def test_a_client_that_drops_its_job_interrupts_it(client: Client) -> None:
    never = Service(name="web", image="busybox", command=("sleep", "0.2"))
    events = client.up(stack(never))
    identity = next(events).id
    events.close()  # type: ignore[attr-defined]
    until(lambda: next(job.status for job in client.jobs() if job.id == identity) in ("cancelled", "done", "failed"))
    list(client.down("proj", DownOptions(volumes=True)))


def threads_and_fds(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_streams_whose_client_vanished_leave_nothing_behind(served: Served, client: Client) -> None:
    identity = create(client, "sleep", "99")
    client.start(identity)
    # Namespaces for the next containers are made in the background, and each is a descriptor.
    client.settle()
    pid = client.ping().pid
    before = threads_and_fds(pid)
    requests = [
        f"GET /containers/{identity}/logs?follow=1&stdout=1", "GET /events", f"POST /containers/{identity}/wait",
        f"GET /containers/{identity}/stats", f"POST /containers/{identity}/attach?stream=1&stdout=1",
        "GET /stackfile/v1/events?follow=1",
    ]  # fmt: skip
    connections = [raw(served, f"{line} HTTP/1.1\r\nHost: x\r\n\r\n".encode()) for line in requests for _ in range(3)]
    for connection in connections:
        assert connection.recv(12) in (b"HTTP/1.1 200", b"HTTP/1.1 101")
    assert threads_and_fds(pid) > before
    for connection in connections:
        connection.close()
    until(lambda: threads_and_fds(pid) <= before, 30)


def test_a_follower_that_does_not_read_stops_at_the_buffers(served: Served, client: Client) -> None:
    identity = create(client, "sh", "-c", "yes | head -c 30000000; sleep 99")
    client.start(identity)
    slow = raw(served, f"GET /containers/{identity}/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    pid = client.ping().pid

    def memory() -> int:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096

    time.sleep(1)
    before = memory()
    time.sleep(1)
    assert memory() - before < 20 << 20
    started = time.monotonic()
    client.containers()
    assert time.monotonic() - started < 1
    slow.close()


def test_a_daemon_that_is_killed_comes_back_and_containers_run_on(served: Served, client: Client) -> None:
    identity = create(client, "sh", "-c", LOOP)
    client.start(identity)
    before = client.container(identity)
    old = client.ping().pid
    failures: list[str] = []
    done = threading.Event()

    def ask() -> None:
        own = stackfile.connect(str(client.host))
        while not done.is_set():
            try:
                own.ping()
            except StackfileError as error:
                # The request that was under way ends; later ones wait for the next daemon.
                failures.append(error.reason)
        own.close()

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.3)
    os.kill(old, signal.SIGKILL)
    time.sleep(0.2)
    ping = client.ping()
    done.set()
    thread.join(20)
    assert ping.pid != old
    assert len(failures) <= 1
    after = client.container(identity)
    assert (after.state.pid, after.state.started_at) == (before.state.pid, before.state.started_at)
    client.kill(identity)
    lines = [line.data for line in client.logs(identity)]
    assert lines == [f"line {number}\n".encode() for number in range(1, len(lines) + 1)]


def test_sigterm_leaves_containers_running(client: Client) -> None:
    identity = create(client, "sleep", "99")
    client.start(identity)
    pid, main = client.ping().pid, client.container(identity).state.pid
    os.kill(pid, signal.SIGTERM)
    until(lambda: not os.path.exists(f"/proc/{pid}"))
    assert client.container(identity).state.pid == main


def test_shutdown_is_refused_while_containers_run(client: Client) -> None:
    client.start(create(client, "sleep", "99", name="busy"))
    with pytest.raises(ConflictError) as caught:
        client.shutdown()
    assert "busy" in caught.value.cause
    assert client.ping()


def test_doctor(client: Client) -> None:
    rows = client.doctor()
    assert rows
    assert {row.status for row in rows} <= {"ok", "warning", "missing"}


def test_attach_without_stream_gives_what_was_written(served: Served, client: Client) -> None:
    identity = create(client, "sh", "-c", "echo past; sleep 99")
    client.start(identity)
    until(lambda: list(client.logs(identity)))
    head = f"POST /containers/{identity}/attach?logs=1&stdout=1 HTTP/1.1\r\nHost: x\r\nUpgrade: tcp\r\n\r\n"
    with raw(served, head.encode()) as connection:
        data = b""
        while part := connection.recv(4096):
            data += part
    assert data.endswith(b"\x01\0\0\0\0\0\0\x05past\n")


def test_a_body_may_wait_for_its_go(served: Served) -> None:
    head = b"POST /volumes/create HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\nExpect: 100-continue\r\n\r\n"
    with raw(served, head) as connection:
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b'{"Name":"wai"}')
        assert connection.recv(12) == b"HTTP/1.1 201"
