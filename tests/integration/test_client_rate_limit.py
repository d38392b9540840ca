"""A rate for each source that may be forged, and the ways past it for those that are not.

The rate is one query a second, so that a burst of five is all that a test sees of it; what is asked
beyond comes within the same second, or the test could not tell.
"""

import dns.rcode
import pytest

from lib import dns_wire as wire
from lib import spoofed_udp
from lib.clients import Address, UdpClient, assert_own_answer, assert_own_raw, bound_to
from lib.timing import wait_until
from lib.transports import connect

BURST = 5
CLIENT = bytes.fromhex("2464c4abcf10c957")
BADCOOKIE = 23
FLOODER, OTHER = "127.0.0.2", "127.0.0.3"

pytestmark = pytest.mark.one_worker  # the rate is that of each


def limited(slip: int = 2, **options) -> dict:
    return {"allow": ["private"], "rate-limit": 1, "rate-limit-slip": slip, **options}


def flood(sotto, count: int, source: str = FLOODER, options=(), name="flood.localhost"):
    """The replies to so many queries sent at once."""
    replies = []
    before = sotto.count("UDP queries")
    dropped = sotto.count("limited and dropped")
    with UdpClient(sotto.address, bound_to(source)) as client:
        for ident in range(count):
            client.send(wire.query(name, ident=ident, options=options))
        wait_until(lambda: sotto.count("UDP queries") == before + count, 10, "all have come")
        dropped = sotto.count("limited and dropped") - dropped
        replies = [wire.parse(client.receive()) for _ in range(count - dropped)]
    return replies


def is_short(reply) -> bool:
    return bool(reply.flags & wire.TC) and not reply.answer and not reply.authority


def test_over_the_limit_some_are_told_and_most_are_dropped(dot_server, forward):
    """C7, C8"""
    sotto = forward(dot_server(), clients=limited(slip=4))
    replies = flood(sotto, 100)
    told = [reply for reply in replies if is_short(reply)]
    # A slow machine may take a second or a few for it.
    assert BURST <= len(replies) - len(told) <= BURST + 10
    assert 20 <= len(told) <= 24
    assert sotto.count("limited and told") == len(told)
    assert sotto.count("limited and dropped") == 100 - len(replies)


def test_others_do_not_notice(dot_server, forward):
    sotto = forward(dot_server(), clients=limited())
    flood(sotto, 50)
    for name in ("a.test", "b.test"):
        with UdpClient(sotto.address, bound_to(OTHER)) as client:
            assert_own_raw(client.exchange(wire.query(name)), name)


def test_a_client_that_is_told_goes_on_over_tcp(dot_server, forward):
    sotto = forward(dot_server(), clients=limited(slip=1))
    flood(sotto, 50)
    with connect(sotto.address, "tcp", make_socket=bound_to(FLOODER)) as client:
        for number in range(20):
            name = f"tcp-{number}.test"
            assert_own_raw(client.exchange(wire.query(name)), name)


def test_a_client_with_cookies_goes_on_over_udp(dot_server, forward):
    """RFC 7873 section 5.2.3: BADCOOKIE, with one that is good."""
    sotto = forward(dot_server(), clients=limited(slip=1))
    replies = flood(sotto, 50, options=[(wire.OPTION_COOKIE, CLIENT)])
    (last,) = replies[-1:]
    assert last.rcode() == BADCOOKIE and not last.answer
    assert {reply.rcode() for reply in replies} <= {dns.rcode.NOERROR, BADCOOKIE}
    (cookie,) = [o.to_wire() for o in last.options if o.otype == wire.OPTION_COOKIE]
    before = sotto.count("queries over the limit")
    with UdpClient(sotto.address, bound_to(FLOODER)) as client:
        for number in range(20):
            query = wire.query(f"udp-{number}.test", options=[(wire.OPTION_COOKIE, cookie)])
            assert_own_answer(wire.parse(client.exchange(query)), f"udp-{number}.test")
    assert sotto.count("queries over the limit") == before


def test_who_takes_the_cookie_of_another_address_does_not(dot_server, forward):
    sotto = forward(dot_server(), clients=limited(slip=0))
    with UdpClient(sotto.address, bound_to(OTHER)) as client:
        reply = wire.parse(
            client.exchange(wire.query("name.test", options=[(wire.OPTION_COOKIE, CLIENT)]))
        )
    (cookie,) = [option.to_wire() for option in reply.options]
    replies = flood(sotto, 50, options=[(wire.OPTION_COOKIE, cookie)])
    assert len(replies) <= BURST + 10


@pytest.mark.skipif(not spoofed_udp.available(), reason="spoofing needs root")
def test_a_forged_source_gets_little(dot_server, forward):
    """C8: large answers are sent at the rate, and no more."""

    def large(conn, query):
        text = wire.record(wire.QUESTION_POINTER, wire.TXT, b"\xff" + b"x" * 255)
        conn.answer(query, answer=[text] * 3)

    sotto = forward(dot_server(on_query=large), clients=limited(slip=2), cache={})
    query = wire.query("large.test", wire.TXT)
    with UdpClient(sotto.address, bound_to(FLOODER)) as victim:
        port = victim.sock.getsockname()[1]
        for _ in range(200):
            spoofed_udp.send(Address(FLOODER, port), sotto.address, query)
        wait_until(lambda: sotto.count("UDP queries") == 200, 10, "all have come")
        got = []
        for _ in range(200 - sotto.count("limited and dropped")):
            got.append(victim.receive())
    large_ones = [reply for reply in got if len(reply) > len(query)]
    assert BURST <= len(large_ones) <= BURST + 10
    assert len(got) - len(large_ones) <= 100


def test_prefixes(dot_server, forward):
    """Clients of one network count as one, if that is said."""
    sotto = forward(dot_server(), clients=limited(slip=0, **{"rate-limit-ipv4-prefix": 24}))
    assert len(flood(sotto, 50)) <= BURST + 10
    assert len(flood(sotto, 50, OTHER)) <= 10
    assert BURST <= len(flood(sotto, 50, "127.0.1.2")) <= BURST + 10


def test_reload_sets_another_rate(dot_server, forward):
    sotto = forward(dot_server(), clients=limited(slip=0))
    assert len(flood(sotto, 50)) <= BURST + 10
    sotto.reload(sotto.config | {"clients": {"rate-limit": 0}})
    assert len(flood(sotto, 50)) == 50


def test_by_default_there_is_no_limit(dot_server, forward):
    sotto = forward(dot_server())
    assert len(flood(sotto, 300)) == 300
    assert sotto.count("queries over the limit") == 0
