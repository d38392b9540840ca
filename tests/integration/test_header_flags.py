"""RD, RA, AD, CD, DO, AA and the unnamed bit: what each means on either side of us."""

import dns.flags
import pytest

from lib import dns_wire as wire
from lib.faulty_dot import reply_to
from lib.transports import TRANSPORTS, connect

Z = 0x0040
UPSTREAM_FLAGS = wire.QR | wire.RA


def exchange(sotto, transport, **options):
    with connect(sotto.address, transport) as client:
        return wire.parse(client.exchange(wire.query("flags.test", **options)))


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("flags", [0, wire.RD, wire.CD, wire.RD | wire.CD])
def test_rd_and_cd_go_up_and_come_back(sotto, server, transport, flags):
    """RFC 1035 section 4.1.1, RFC 4035 section 3.2.2"""
    reply = exchange(sotto, transport, flags=flags)
    mask = wire.RD | wire.CD
    assert server.queries[0].flags & mask == flags
    assert reply.flags & mask == flags


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_ra_is_always_set(sotto, server, transport):
    """We recurse, whatever the upstream says of itself; and so do local answers."""
    server.on_query = lambda conn, query: conn.answer(query, flags=wire.QR)
    assert exchange(sotto, transport).flags & dns.flags.RA
    with connect(sotto.address, transport) as client:
        for name in ("localhost", "name.invalid"):
            assert client.exchange(wire.query(name))[3] & wire.RA


@pytest.mark.parametrize("do", [False, True])
@pytest.mark.parametrize("ad", [False, True])
def test_ad_is_for_those_who_understand_it(sotto, server, do, ad):
    """RFC 6840 section 5.7 and 5.8: who set DO or AD."""
    server.on_query = lambda conn, query: conn.answer(query, flags=UPSTREAM_FLAGS | wire.AD)
    reply = exchange(sotto, "udp", flags=wire.RD | (wire.AD if ad else 0), do=do)
    assert bool(reply.flags & dns.flags.AD) == (do or ad)
    assert server.queries[0].flags & wire.AD, "somebody may ask next who does"


@pytest.mark.parametrize("do", [False, True])
def test_no_ad_that_the_upstream_did_not_give(sotto, server, do):
    reply = exchange(sotto, "udp", flags=wire.RD | wire.AD, do=do)
    assert not reply.flags & dns.flags.AD


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("do", [False, True])
def test_do_goes_up_and_comes_back(sotto, server, transport, do):
    """RFC 3225, RFC 4035 section 3.2.1; in local answers too."""
    reply = exchange(sotto, transport, do=do)
    assert bool(server.queries[0].message.ednsflags & 0x8000) == do
    assert bool(reply.ednsflags & 0x8000) == do
    with connect(sotto.address, transport) as client:
        local = wire.parse(client.exchange(wire.query("localhost", do=do)))
    assert bool(local.ednsflags & 0x8000) == do


def test_signatures_come_with_do(sotto, server):
    """Whatever records the upstream sends are passed on, in their order."""
    rrsig = wire.record(wire.QUESTION_POINTER, 46, bytes(18) + b"\0" + bytes(32))

    def signed(conn, query):
        records = [wire.record(wire.QUESTION_POINTER, wire.A, bytes([192, 0, 2, 1])), rrsig]
        conn.send_message(reply_to(query, answer=records, flags=UPSTREAM_FLAGS | wire.AD))

    server.on_query = signed
    reply = exchange(sotto, "udp", do=True)
    assert [rrset.rdtype for rrset in reply.answer] == [1, 46]
    assert reply.flags & dns.flags.AD


@pytest.mark.parametrize("aa", [False, True])
def test_aa_is_the_upstreams(sotto, server, aa):
    flags = UPSTREAM_FLAGS | (wire.AA if aa else 0)
    server.on_query = lambda conn, query: conn.answer(query, flags=flags)
    assert bool(exchange(sotto, "udp").flags & dns.flags.AA) == aa


def test_bits_without_a_meaning_go_nowhere(sotto, server):
    """RFC 1035: Z must be zero; TC, AA and RA of a query mean nothing."""
    flags = wire.RD | Z | wire.TC | wire.AA | wire.RA | 0x000F
    reply = exchange(sotto, "udp", flags=flags)
    assert reply.rcode() == 0 and not reply.flags & (Z | wire.TC | wire.AA)
    assert server.queries[0].flags == wire.RD | wire.AD
