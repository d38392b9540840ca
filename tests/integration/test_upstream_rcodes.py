"""What an upstream's error codes lead to: the next upstream, and the truth if there is none."""

import dns.flags
import pytest

from lib import dns_wire as wire
from lib.clients import UdpClient, ask, assert_own_answer, describe
from lib.faulty_dot import answering
from lib.sotto_process import HEARD_BY
from lib.timing import within

TRY_NEXT = [wire.SERVFAIL, wire.REFUSED, wire.NOTIMP]
TRUTH = [wire.NXDOMAIN, 6]
OTHER = [wire.FORMERR, 8, 9, 10, 11, 15]
EXTENDED = [16, 23, 3841, 4095]


@pytest.mark.parametrize("rcode", TRY_NEXT)
def test_an_upstream_that_fails_makes_the_next_one_answer(dot_server, forward, rcode):
    """R7"""
    failing = dot_server(on_query=answering(rcode=rcode))
    sotto = forward(failing, dot_server())
    for number in range(10):
        name = f"name-{number}.test"
        with within(1.0):
            assert_own_answer(ask(sotto.address, name), name)
    assert sotto.count("failure replies") >= 1


@pytest.mark.parametrize("rcode", TRY_NEXT + TRUTH + OTHER)
def test_the_only_upstreams_code_is_shown_truthfully(dot_server, forward, rcode):
    """R7"""
    server = dot_server(on_query=answering(rcode=rcode, answer=[]))
    sotto = forward(server)
    for tcp in (False, True):
        with within(HEARD_BY):
            reply = ask(sotto.address, "name.test", tcp=tcp)
        assert reply.rcode() == rcode, describe(reply)
    assert len(server.queries) <= 6


@pytest.mark.parametrize("rcode", EXTENDED)
def test_extended_codes_are_shown_to_clients_that_can_see_them(dot_server, forward, rcode):
    """R7"""
    sotto = forward(dot_server(on_query=answering(rcode=rcode, answer=[])))
    assert ask(sotto.address, "name.test").rcode() == rcode
    # Half of an extended code would be a lie: 16 would look like NOERROR.
    assert ask(sotto.address, "plain.test", use_edns=False).rcode() == wire.SERVFAIL


def test_name_errors_are_believed_at_once(dot_server, forward):
    """R7: NXDOMAIN is an answer; the second upstream is not asked."""
    negative = dot_server(
        on_query=answering(rcode=wire.NXDOMAIN, authority=[wire.soa_record(b"\0", minimum=5)])
    )
    second = dot_server()
    reply = ask(forward(negative, second).address, "missing.test")
    assert reply.rcode() == wire.NXDOMAIN and len(reply.authority) == 1
    assert not second.queries


def test_an_empty_answer_without_soa_is_passed_on(dot_server, forward):
    """R7"""
    reply = ask(forward(dot_server(on_query=answering(answer=[]))).address, "empty.test")
    assert reply.rcode() == wire.NOERROR and not reply.answer and not reply.authority


def test_truncation_over_tls_makes_the_next_upstream_answer(dot_server, forward):
    """R7"""
    truncating = dot_server(on_query=answering(flags=wire.QR | wire.RD | wire.RA | wire.TC))
    sotto = forward(truncating, dot_server())
    assert_own_answer(ask(sotto.address, "cut.test"), "cut.test")


def test_truncation_by_the_only_upstream_is_no_loop(dot_server, forward):
    """R7: the client hears of it, by TC or by a failure, and the upstream is asked thrice at most."""
    truncating = dot_server(
        on_query=answering(flags=wire.QR | wire.RD | wire.RA | wire.TC, answer=[])
    )
    sotto = forward(truncating)
    for tcp in (False, True):
        with within(HEARD_BY):
            reply = ask(sotto.address, "cut.test", tcp=tcp)
        assert reply.rcode() == wire.SERVFAIL or reply.flags & dns.flags.TC, describe(reply)
    assert len(truncating.queries) <= 6


def test_header_bits_of_the_upstream_reach_the_client(dot_server, forward):
    """R7: AD and RA are passed on, AA is not claimed, CD mirrors the query."""
    flags = wire.QR | wire.RD | wire.RA | wire.AD
    sotto = forward(dot_server(on_query=answering(flags=flags)))
    with UdpClient(sotto.address) as client:
        query = wire.query("bits.test", flags=wire.RD | wire.AD, ident=77)
        reply = client.exchange(query)
    got = int.from_bytes(reply[2:4], "big")
    assert got & (wire.QR | wire.RD | wire.RA | wire.AD) == flags
    assert not got & (wire.AA | wire.TC | wire.CD)
