"""Handshakes that never end are bounded by the query's deadline."""

import ssl

import pytest

from lib import packet_filter
from lib.clients import Bystanders, ask, assert_failed, assert_own_answer
from lib.faulty_dot import TlsSettings, accept_and_freeze, in_pieces, serve
from lib.sotto_process import HEARD_BY, QUERY_TIMEOUT
from lib.timing import within

CERTIFICATE = 11


def after_client_hello(conn):
    conn.read_cipher()
    conn.wait_peer_closed()


def in_the_flight(conn):
    flight = conn.first_flight()
    conn.send_cipher(flight[: len(flight) * 2 // 3])
    conn.wait_peer_closed()


def after_certificate(conn):
    """TLS 1.2: ServerHello and Certificate, and no more."""
    flight = conn.first_flight()
    offset = 0
    while True:
        length = int.from_bytes(flight[offset + 3 : offset + 5], "big")
        kind = flight[offset + 5]
        offset += 5 + length
        if kind == CERTIFICATE:
            break
    conn.send_cipher(flight[:offset])
    conn.wait_peer_closed()


def one_octet_a_second(conn):
    conn.output = in_pieces(1, pause=1.0)
    conn.handshake()


STALLS = {
    "says-nothing": dict(on_connection=accept_and_freeze),
    "after-client-hello": dict(on_connection=after_client_hello),
    "in-the-flight": dict(on_connection=in_the_flight),
    "after-certificate": dict(
        on_connection=after_certificate, tls=TlsSettings(maximum=ssl.TLSVersion.TLSv1_2)
    ),
    "one-octet-a-second": dict(on_connection=one_octet_a_second),
}
each = pytest.mark.parametrize("options", STALLS.values(), ids=STALLS.keys())


@each
def test_a_stalled_handshake_ends_with_the_deadline(dot_server, forward, options):
    """T4"""
    server = dot_server(**options)
    sotto = forward(server)
    with within(HEARD_BY):
        assert_failed(ask(sotto.address, "stalled.test"))
    server.wait_closed(server.connections[0], QUERY_TIMEOUT)
    assert sotto.log_lines(r"is down: handshake: ")
    assert sotto.count("connection failures") >= 1


@each
@pytest.mark.one_worker
def test_other_upstreams_are_used_meanwhile(dot_server, forward, options):
    """T4"""
    sotto = forward(dot_server(**options), dot_server())
    with within(HEARD_BY):
        assert_own_answer(ask(sotto.address, "first.test"), "first.test")
    # It is known to be slow by now: nobody waits for it again.
    with Bystanders(sotto.address, within=0.5):
        for number in range(20):
            name = f"later-{number}.test"
            with within(0.5):
                assert_own_answer(ask(sotto.address, name), name)


def test_a_connect_that_is_never_answered(dot_server, forward):
    """T4 T7: every packet to the upstream is lost."""
    dead = dot_server()
    packet_filter.drop_everything(dead.listener)
    sotto = forward(dead)
    with within(HEARD_BY):
        assert_failed(ask(sotto.address, "lost.test"))
    assert sotto.log_lines(r"is down: connect: ")


@pytest.mark.parametrize("octets", [20_000, 60_000, 300_000])
def test_a_huge_certificate_is_taken_or_refused_but_never_waited_for(
    dot_server, forward, authority, octets
):
    """T4"""
    huge = dot_server(authority.issue(padding_octets=octets))
    sotto = forward(huge, dot_server())
    before = sotto.resident_kib()
    with Bystanders(sotto.address), within(HEARD_BY):
        assert_own_answer(ask(sotto.address, "huge.test"), "huge.test")
    sotto.assert_not_grown(before, 20_000)


@pytest.mark.parametrize("depth", [5, 40])
def test_a_long_chain_is_taken_or_refused(dot_server, forward, authority, depth):
    """T4"""
    issuer = authority
    for level in range(depth):
        issuer = issuer.intermediate(f"level {level}")
    long = dot_server(issuer.issue())
    sotto = forward(long, dot_server())
    with Bystanders(sotto.address), within(HEARD_BY):
        assert_own_answer(ask(sotto.address, "long.test"), "long.test")
    assert bool(long.queries) == (depth < 10)


def test_many_queries_share_one_handshake(dot_server, forward):
    """T4: a slow handshake is not begun again for every query that waits."""

    def slow(conn):
        conn.server.stopping.wait(0.5)
        serve(conn)

    server = dot_server(on_connection=slow)
    sotto = forward(server)
    with Bystanders(sotto.address, within=1.5):
        for number in range(5):
            name = f"waiting-{number}.test"
            assert_own_answer(ask(sotto.address, name), name)
    assert len(server.connections) <= 2 * sotto.workers
