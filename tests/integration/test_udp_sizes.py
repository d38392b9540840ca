"""How large a reply over UDP may be: the smaller of what the client and we allow."""

import dns.flags
import pytest

from lib import dns_wire as wire
from lib.clients import TcpClient, UdpClient, ask, dig

OPT_SIZE = 11
NAME = "sized.test"
FIXED = len(wire.query(NAME, edns=False))


def reply_of_size(size: int):
    """Answer so that our reply, without its OPT, has exactly this size."""

    def answer(conn, query):
        left, records = size - FIXED, []
        while left:
            taken = left if left <= 250 else min(200, left - 20)
            rdata = bytes([taken - 13]) + b"x" * (taken - 13)
            records.append(wire.record(wire.QUESTION_POINTER, wire.TXT, rdata))
            left -= taken
        conn.answer(query, answer=records)

    return answer


def is_whole(reply: bytes) -> bool:
    truncated = bool(reply[2] & 2)
    assert truncated == (reply[6:8] == b"\0\0"), "half an answer"
    return not truncated


@pytest.mark.parametrize(
    "size, client, limit",
    [
        (512, None, None),
        (512 - OPT_SIZE, 512, None),
        (512 - OPT_SIZE, 100, None),
        (1232 - OPT_SIZE, 1232, None),
        (1232 - OPT_SIZE, 4096, None),
        (700 - OPT_SIZE, 700, None),
        (512, None, 4096),
        (4096 - OPT_SIZE, 4096, 4096),
        (1400 - OPT_SIZE, 1400, 4096),
        (512 - OPT_SIZE, 4096, 512),
    ],
)
def test_it_fits_to_the_octet_and_not_one_more(dot_server, forward, size, client, limit):
    """512 without EDNS; else the client's size, at least 512, at most `udp: max-size`."""
    options = {"udp": {"max-size": limit}} if limit else {}
    server = dot_server(on_query=reply_of_size(size))
    sotto = forward(server, **options)
    query = wire.query(NAME, wire.TXT, edns=client is not None, size=client or 0)
    with UdpClient(sotto.address) as udp, TcpClient(sotto.address) as tcp:
        fits = udp.exchange(query)
        assert is_whole(fits) and len(fits) == size + (OPT_SIZE if client is not None else 0)
        server.on_query = reply_of_size(size + 1)
        assert not is_whole(udp.exchange(query))
        tcp.send(query)
        assert is_whole(tcp.receive())
    assert sotto.count("truncated replies") == 1


@pytest.mark.parametrize("limit", [None, 512, 4096])
def test_the_size_we_take_is_in_every_opt(dot_server, forward, limit):
    """RFC 6891 section 6.2.3"""
    sotto = forward(dot_server(), **({"udp": {"max-size": limit}} if limit else {}))
    for name in ("name.test", "name.localhost"):
        for tcp in (False, True):
            assert ask(sotto.address, name, tcp=tcp).payload == (limit or 1232)


def test_no_edns_for_who_has_none(dot_server, forward):
    """RFC 6891 section 6.1.1: also when the upstream sends some."""
    sotto = forward(dot_server())
    for name in ("name.test", "name.localhost"):
        assert ask(sotto.address, name, use_edns=False).edns == -1


def test_real_clients_ask_again_over_tcp(dot_server, forward):
    sotto = forward(dot_server(on_query=reply_of_size(3000)))
    output = dig(sotto.address, NAME, "TXT")
    assert "retrying in TCP mode" in output and "status: NOERROR" in output
    reply = ask(sotto.address, NAME, "TXT")
    assert reply.flags & dns.flags.TC and len(reply.question) == 1
