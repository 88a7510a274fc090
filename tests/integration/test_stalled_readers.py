"""Who does not read what it asked for harms nobody."""

from __future__ import annotations

import io
import re
import socket
import tarfile
import time

import pytest

from tests.integration.daemons import Served, served

__all__ = ["served"]
pytestmark = pytest.mark.root
PATIENCE = 90


def test_a_build_does_not_wait_for_a_client_that_does_not_read(served: Served) -> None:
    text = b"FROM busybox\nRUN yes %064d | head -c 30000000; echo the-last\n" % 7
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        found = tarfile.TarInfo("Dockerfile")
        found.size = len(text)
        tar.addfile(found, io.BytesIO(text))
    body = context.getvalue()
    with socket.socket(socket.AF_UNIX) as stalled:
        stalled.connect(served.box.settings.socket)
        head = "POST /build?t=stalled HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-tar\r\n"
        stalled.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        deadline = time.monotonic() + PATIENCE
        while not any("stalled:latest" in tag for image in served.client.images() for tag in image.tags):
            assert time.monotonic() < deadline, served.box.logs()
            time.sleep(0.1)
        stalled.settimeout(PATIENCE)
        answer = bytearray()
        while part := stalled.recv(1 << 20):
            answer += part
    assert b"Successfully tagged" in answer
    (omitted,) = re.findall(rb"\[(\d+) lines of output were not read in time", answer)
    assert answer.count(b"%064d" % 7) + int(omitted) >= 30_000_000 // 65
