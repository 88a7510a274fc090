"""DNS messages by hand, checked with dnslib."""

from __future__ import annotations

import socket
import struct

import pytest
from dnslib import DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from stackfile.resolver import packet


def query(name: str, kind: str = "A") -> bytes:
    return bytes(DNSRecord.question(name, kind).pack())


def test_question() -> None:
    question = packet.parse(query("Web.Shop_default", "AAAA"))
    assert question is not None
    assert (question.name, question.kind, question.kind_class) == ("web.shop_default", packet.AAAA, packet.IN)


def test_answer_is_understood() -> None:
    message = query("WeB")
    question = packet.parse(message)
    assert question is not None
    raw = [socket.inet_aton("10.89.0.2"), socket.inet_pton(socket.AF_INET6, "fd00::2")]
    answer = DNSRecord.parse(message[:2] + packet.answer(message, question, raw))
    assert str(answer.q.qname) == "WeB."
    assert [str(record.rdata) for record in answer.rr] == ["10.89.0.2", "fd00::2"]
    assert (answer.header.qr, answer.header.ra, answer.header.rd, answer.header.rcode) == (1, 1, 1, 0)


@pytest.mark.parametrize("code", [packet.FORMERR, packet.NOTIMP, packet.REFUSED])
def test_failure_is_understood(code: int) -> None:
    answer = DNSRecord.parse(packet.failure(query("web"), code))
    assert (answer.header.rcode, answer.header.qr) == (code, 1)


def test_answers_fit_into_a_datagram() -> None:
    message = query("a-rather-long-name-of-a-service.shop_default")
    question = packet.parse(message)
    assert question is not None
    addresses = [bytes([10, 0, 0, number]) for number in range(packet.room(question))]
    assert 490 < len(packet.answer(message, question, addresses)) + 2 <= packet.UDP_SIZE


def test_several_questions_or_another_opcode_are_none() -> None:
    message = query("web")
    assert packet.parse(message[:4] + b"\0\2" + message[6:]) is None
    assert packet.parse(message[:2] + b"\x10\0" + message[4:]) is None


def test_compressed_question_is_none() -> None:
    assert packet.parse(query("web")[:12] + b"\xc0\x0c\0\1\0\1") is None


@given(st.binary(max_size=600))
def test_no_bytes_break_the_parser(data: bytes) -> None:
    if packet.is_query(data):
        packet.parse(data)
        packet.failure(data, packet.FORMERR)


def test_answer_belongs_to_its_query() -> None:
    message = query("web.example")
    question = packet.parse(message)
    assert question is not None
    answer = message[:2] + packet.answer(message, question, [])
    assert packet.answers_to(answer, message, question)
    assert packet.answers_to(answer[:12] + question.raw.upper()[:-4] + question.raw[-4:], message, question)
    assert not packet.answers_to(b"\xff\xff" + answer[2:], b"\0\0" + message[2:], question)
    assert not packet.answers_to(message, message, question)
    other = query("evil.example")
    other_question = packet.parse(other)
    assert other_question is not None
    assert not packet.answers_to(message[:2] + packet.answer(other, other_question, []), message, question)


def test_time_to_live_is_short() -> None:
    message = query("web")
    question = packet.parse(message)
    assert question is not None
    answer = DNSRecord.parse(message[:2] + packet.answer(message, question, [struct.pack(">I", 1)]))
    assert answer.rr[0].ttl == packet.TTL
