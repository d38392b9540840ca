"""Answers of every size, and padding that stays on the upstream leg."""

import dns.flags
import pytest

from lib import dns_wire as wire
from lib.clients import TcpClient, ask, assert_own_answer, dig
from lib.faulty_dot import answering, reply_to

LARGEST_MESSAGE = 65535
TXT_OVERHEAD = 12 + 1  # pointer, type, class, TTL, length; length of the string


def filling(size: int):
    """TXT records that make the upstream's message, without EDNS, exactly so large."""

    def fill(conn, query):
        room = size - len(reply_to(query, answer=[], edns=False))
        records = []
        while room > 0:
            length = min(200, room - TXT_OVERHEAD)
            if 0 < room - TXT_OVERHEAD - length <= TXT_OVERHEAD:
                length -= TXT_OVERHEAD
            text = bytes([length]) + bytes([ord("a") + len(records) % 26]) * length
            records.append(wire.record(wire.QUESTION_POINTER, wire.TXT, text))
            room -= TXT_OVERHEAD + length
        reply = reply_to(query, answer=records, edns=False)
        assert len(reply) == size
        conn.send_message(reply)

    return fill


@pytest.mark.parametrize("size", [513, 1233, 4097, 16384, 65000, LARGEST_MESSAGE])
def test_what_does_not_fit_is_truncated_over_udp_and_whole_over_tcp(dot_server, forward, size):
    """R9"""
    sotto = forward(dot_server(on_query=filling(size)))
    reply = ask(sotto.address, "big.test", "TXT", use_edns=False)
    assert reply.flags & dns.flags.TC and not reply.answer
    with TcpClient(sotto.address) as client:
        client.send(wire.query("big.test", wire.TXT, edns=False))
        whole = client.receive()
    assert len(whole) == size and whole[2] & 2 == 0
    assert sotto.count("truncated replies") == 1


def test_the_largest_answer_leaves_no_room_for_edns_but_is_whole(dot_server, forward):
    """R9: an OPT record is the first thing to go."""
    sotto = forward(dot_server(on_query=filling(LARGEST_MESSAGE)))
    reply = ask(sotto.address, "big.test", "TXT", tcp=True)
    assert reply.rcode() == wire.NOERROR
    assert reply.answer or reply.flags & dns.flags.TC


def test_dig_falls_back_to_tcp_for_64_kilobytes(dot_server, forward):
    """R9"""
    sotto = forward(dot_server(on_query=filling(65000)))
    output = dig(sotto.address, "big.test", "TXT")
    assert "Truncated, retrying in TCP mode" in output and "status: NOERROR" in output


@pytest.mark.parametrize("tcp", [False, True])
def test_padding_of_the_upstream_is_stripped(dot_server, forward, tcp):
    """R9"""
    sotto = forward(dot_server(on_query=answering(options=[(wire.OPTION_PADDING, bytes(4096))])))
    reply = ask(sotto.address, "padded.test", tcp=tcp)
    assert_own_answer(reply, "padded.test")
    assert not reply.options and len(reply.to_wire()) < 200


def test_padding_mirror_shows_the_upstreams_padding(dot_server, forward):
    """R9"""
    padding = [(wire.OPTION_PADDING, bytes(300))]
    sotto = forward(dot_server(on_query=answering(options=padding)), padding="mirror")
    reply = ask(sotto.address, "padded.test", payload=4096)
    assert_own_answer(reply, "padded.test")
    assert [option.otype for option in reply.options] == [wire.OPTION_PADDING]
