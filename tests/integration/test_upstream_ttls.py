"""TTLs at the edges of their range."""

import struct

import pytest

from lib import dns_wire as wire
from lib.clients import TcpClient
from lib.faulty_dot import answering, reply_to

LARGEST = 0x7FFFFFFF
WEEK = 7 * 86400


def answer_ttls(reply: bytes) -> list[int]:
    """The TTLs of the answer section, raw: a DNS library would correct them."""
    offset, ttls = wire.skip_name(reply, 12) + 4, []
    for _ in range(int.from_bytes(reply[6:8], "big")):
        offset = wire.skip_name(reply, offset)
        _, _, ttl, length = struct.unpack_from("!HHIH", reply, offset)
        offset += 10 + length
        ttls.append(ttl)
    return ttls


def exchange(sotto, name: str) -> bytes:
    with TcpClient(sotto.address) as client:
        client.send(wire.query(name))
        return client.receive()


@pytest.mark.parametrize("ttl", [0, 1, WEEK, LARGEST])
def test_ordinary_ttls_are_passed_on(dot_server, forward, ttl):
    """R8"""
    reply = exchange(forward(dot_server(on_query=answering(ttl=ttl))), "ttl.test")
    (got,) = answer_ttls(reply)
    assert got <= ttl and got >= min(ttl, 1)


@pytest.mark.parametrize("ttl", [1 << 31, (1 << 31) + 300, (1 << 32) - 1])
def test_ttls_with_the_top_bit_set_count_as_zero(dot_server, forward, ttl):
    """R8: RFC 2181 section 8"""
    reply = exchange(forward(dot_server(on_query=answering(ttl=ttl))), "ttl.test")
    assert answer_ttls(reply) == [0]


def test_ttls_that_differ_within_an_rrset_do_no_harm(dot_server, forward):
    """R8"""

    def differing(conn, query):
        records = [
            wire.record(wire.QUESTION_POINTER, wire.A, bytes([192, 0, 2, number]), ttl)
            for number, ttl in enumerate((300, 5, WEEK))
        ]
        conn.send_message(reply_to(query, answer=records))

    ttls = answer_ttls(exchange(forward(dot_server(on_query=differing)), "ttl.test"))
    assert len(ttls) == 3 and max(ttls) <= WEEK


def test_a_negative_answer_for_a_week_is_passed_on(dot_server, forward):
    """R8"""
    negative = answering(rcode=wire.NXDOMAIN, authority=[wire.soa_record(b"\0", WEEK, WEEK)])
    reply = exchange(forward(dot_server(on_query=negative)), "missing.test")
    assert reply[3] & 15 == wire.NXDOMAIN and reply[9] == 1
