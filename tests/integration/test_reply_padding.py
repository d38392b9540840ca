"""Padding of replies (RFC 7830, RFC 8467): for those who padded their query."""

import pytest

from lib import dns_wire as wire
from lib.transports import TRANSPORTS, connect

BLOCK = 468
PADDED = [(wire.OPTION_PADDING, bytes(20))]
NAMES = ["name.test", "name.localhost", "nothing.invalid"]


def exchange(sotto, transport, name, **options) -> bytes:
    with connect(sotto.address, transport) as client:
        return client.exchange(wire.query(name, **options))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_auto_pads_to_blocks_for_who_padded(dot_server, forward, transport):
    sotto = forward(dot_server())
    for name in NAMES:
        assert len(exchange(sotto, transport, name, options=PADDED)) == BLOCK
        assert len(exchange(sotto, transport, name)) < BLOCK / 2
    for name in ("x" * length + ".test" for length in (1, 20, 63)):
        assert len(exchange(sotto, transport, name, options=PADDED)) == BLOCK


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_off_never_pads(dot_server, forward, transport):
    sotto = forward(dot_server(), padding="off")
    for name in NAMES:
        reply = exchange(sotto, transport, name, options=PADDED)
        assert len(reply) < BLOCK / 2 and not wire.parse(reply).options


def test_padding_never_exceeds_what_the_client_takes(dot_server, forward):
    """The last block is cut to fit, and is no reason for TC."""

    def large(conn, query):
        conn.answer(query, answer=[wire.record(b"\xc0\x0c", wire.TXT, b"\xfa" + b"x" * 250)] * 2)

    sotto = forward(dot_server(on_query=large))
    reply = exchange(sotto, "udp", "name.test", rdtype=wire.TXT, options=PADDED, size=600)
    assert len(reply) == 600 and not reply[2] & 2
    reply = exchange(sotto, "udp", "name.test", rdtype=wire.TXT, options=PADDED)
    assert len(reply) == 2 * BLOCK


def test_queries_to_the_upstream_are_padded_in_every_mode(dot_server, forward):
    """RFC 8467 section 4.1: to 128 octets, whatever the client did."""
    for padding in ("auto", "off", "mirror"):
        server = dot_server()
        sotto = forward(server, padding=padding)
        for name in ("a.test", "b" * 60 + ".test", ".".join(["c" * 60] * 3) + ".test"):
            exchange(sotto, "udp", name)
            exchange(sotto, "udp", name, edns=False)
        assert {len(query.wire) % 128 for query in server.queries} == {0}
