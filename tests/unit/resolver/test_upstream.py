"""Other servers: which there are, and what is answered when they do not."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from dnslib import RCODE, DNSRecord

from stackfile.resolver import packet
from stackfile.resolver.upstream import Forwarder, Machine, parse_resolv_conf


def test_resolv_conf() -> None:
    text = "# comment\nsearch example.com\nnameserver 192.0.2.1\nnameserver  fe80::1%eth0 # two\nnameserver\n"
    assert parse_resolv_conf(text) == ("192.0.2.1", "fe80::1%eth0")


def test_machine_reads_again_what_changed(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    machine = Machine(str(path))
    assert machine.servers() == ()
    path.write_text("nameserver 192.0.2.1\n")
    assert machine.servers() == ("192.0.2.1",)
    path.unlink()
    path.write_text("nameserver 192.0.2.2\n")
    assert machine.servers() == ("192.0.2.2",)


def ask(forwarder: Forwarder, name: str, servers: tuple[str, ...]) -> DNSRecord:
    query = bytes(DNSRecord.question(name).pack())
    question = packet.parse(query)
    assert question is not None
    answer = asyncio.run(forwarder.ask(query, question, servers))
    assert answer[:2] == query[:2]
    return DNSRecord.parse(answer)


def test_no_server_at_all() -> None:
    assert RCODE[ask(Forwarder(), "nobody", ()).header.rcode] == "NXDOMAIN"
    assert RCODE[ask(Forwarder(), "www.example.com", ()).header.rcode] == "SERVFAIL"


def test_refused_server_is_passed_over_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    assert RCODE[ask(Forwarder(port), "nobody", ("127.0.0.1", "no address")).header.rcode] == "NXDOMAIN"


def test_forged_answers_are_not_taken() -> None:
    """A server that first sends rubbish: a wrong id, another question; only the right answer counts."""

    async def work() -> bytes:
        loop = asyncio.get_running_loop()
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        query = bytes(DNSRecord.question("www.example.com").pack())
        question = packet.parse(query)
        assert question is not None
        forwarder = Forwarder(server.getsockname()[1])
        asking = loop.create_task(forwarder.ask(query, question, ("127.0.0.1",)))
        asked, source = await loop.sock_recvfrom(server, 600)
        assert asked[2:] == query[2:]
        answer = packet.answer(asked, question, [bytes([192, 0, 2, 9])])
        wrong = bytes([asked[0] ^ 1]) + asked[1:2]
        for forged in (wrong + answer, asked[:2] + answer.replace(b"www", b"xxx"), b"", asked[:2] + answer):
            server.sendto(forged, source)
        result = await asking
        server.close()
        return result

    record = DNSRecord.parse(asyncio.run(work()))
    assert [str(row.rdata) for row in record.rr] == ["192.0.2.9"]
