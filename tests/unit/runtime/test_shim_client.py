"""The daemon's side of the shim's socket."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from pathlib import Path

from stackfile.kernel import seqpacket
from stackfile.runtime.shim_client import ShimClient


def _answer(listener: socket.socket, answered: list[str]) -> None:
    connection, _ = listener.accept()
    with connection:
        data, _ = seqpacket.receive(connection)
        message = json.loads(data)
        answered.append(message["do"])
        seqpacket.send(connection, json.dumps({"id": message["id"], "ok": None}).encode())
        connection.recv(1)  # until the client has left


def test_what_a_dead_shim_never_got_is_asked_of_the_next(tmp_path: Path) -> None:
    """A signal must not be sent twice; one that could not be sent at all goes to the shim that came instead."""
    path = str(tmp_path / "shim.sock")
    answered: list[str] = []

    async def scenario(listener: socket.socket) -> None:
        client = ShimClient(path, lambda _: None)
        await client.connect()
        listener.accept()[0].close()
        # No turn of the loop in between: the client has not seen the end of its connection yet.
        thread = threading.Thread(target=_answer, args=(listener, answered))
        thread.start()
        await client.signal("c", 15)
        await client.close()
        thread.join()

    with seqpacket.listen(path) as listener:
        listener.setblocking(True)
        asyncio.run(scenario(listener))
    assert answered == ["signal"]


def test_all_that_waited_for_a_dead_shim_ask_the_next(tmp_path: Path) -> None:
    """The first of them connects; the others must not take that connection for the one that they had."""
    path = str(tmp_path / "shim.sock")

    async def scenario(listener: socket.socket) -> None:
        client = ShimClient(path, lambda _: None)
        await client.connect()
        calls = [asyncio.ensure_future(client.release(name)) for name in ("a", "b", "c")]
        first = listener.accept()[0]
        await asyncio.sleep(0.05)
        thread = threading.Thread(target=_answer_all, args=(listener, len(calls)))
        thread.start()
        first.close()
        await asyncio.gather(*calls)
        await client.close()
        thread.join()

    with seqpacket.listen(path) as listener:
        listener.setblocking(True)
        asyncio.run(scenario(listener))


def _answer_all(listener: socket.socket, count: int) -> None:
    connection, _ = listener.accept()
    with connection:
        for _ in range(count):
            message = json.loads(seqpacket.receive(connection)[0])
            seqpacket.send(connection, json.dumps({"id": message["id"], "ok": None}).encode())
        connection.recv(1)
