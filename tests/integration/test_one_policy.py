"""C14: the same forbidden thing on each listener: one policy for all of them, and one answer."""

import dns.rcode
import pytest

from lib import dns_wire as wire
from lib.certs import certificate_files
from lib.clients import (
    Address,
    TcpClient,
    UdpClient,
    assert_own_raw,
    bound_to,
    extended_errors,
    tls_context,
)
from lib.http_clients import WAYS, assert_answer, connect, get, post

FRIEND, STRANGER = "127.0.0.2", "127.0.0.3"
TRANSPORTS = ["udp", "tcp", "tls", *WAYS]
PROHIBITED = 18

UPDATE, NOTIFY, STATUS = 5 << 11, 4 << 11, 2 << 11

# What nobody may do, whoever asks.
FORBIDDEN = {
    "update": wire.query("test", wire.SOA, flags=UPDATE),
    "update with records": wire.message(
        0x1234,
        UPDATE,
        [wire.question(wire.name_wire("test"), wire.SOA)],
        authority=[wire.record(wire.name_wire("new.test"), wire.A, bytes(4))],
    ),
    "notify": wire.query("test", wire.SOA, flags=NOTIFY),
    "status": wire.query("test", flags=STATUS),
    "axfr": wire.query("test", 252),
    "ixfr": wire.query("test", 251),
    "two questions": wire.message(
        0x1234, wire.RD, [wire.question(b"\1a\0"), wire.question(b"\1b\0")]
    ),
    "no question": wire.message(0x1234, wire.RD, additional=[wire.opt_record()]),
    "another version": wire.message(
        0x1234, 0, [wire.question(b"\0")], additional=[wire.opt_record(version=1)]
    ),
    "two OPT records": wire.message(
        0x1234, 0, [wire.question(b"\0")], additional=[wire.opt_record()] * 2
    ),
    "octets behind the end": wire.query("name.test") + b"x",
    "a name cut": wire.query("name.test", edns=False)[:-6],
    "CHAOS": wire.query("version.bind", wire.TXT, rdclass=wire.CH),
    "any class": wire.query("name.test", rdclass=255),
}
# What must not leave, and is answered here.
LOCAL = {
    "onion": wire.query("secret.onion"),
    "invalid": wire.query("name.invalid"),
    "localhost": wire.query("localhost"),
    "a private address": wire.query("1.0.168.192.in-addr.arpa", 12),
    "canary": wire.query("use-application-dns.net"),
}
ALL = {**FORBIDDEN, **LOCAL}


@pytest.fixture
def start(server, forward, identity):
    def start(**options):
        listen = ["dns", "tls", "https", "http"]
        return forward(
            server,
            listen=[f"{scheme}://127.0.0.1:0" for scheme in listen],
            tls={"certificates": [certificate_files(identity)]},
            **options,
        )

    return start


@pytest.fixture
def ask(authority):
    """The answer over this transport; None where there is none."""

    def ask(sotto, transport, message, source=FRIEND, fields=(), make=post, timeout=8.0):
        make_socket = bound_to(source)
        try:
            if transport in WAYS:
                with connect(sotto, transport, authority, make_socket=make_socket) as client:
                    response = client.exchange(make(message, *fields), timeout)
                    return response and assert_answer(response)
            kind = UdpClient if transport == "udp" else TcpClient
            place: Address = sotto.listener("tls" if transport == "tls" else "dns")
            with kind(place, make_socket=make_socket) as client:
                if transport == "tls":
                    context = tls_context(authority)
                    client.sock = context.wrap_socket(client.sock, server_hostname="dot.test")
                client.send(message)
                return client.receive(timeout) or None
        except (TimeoutError, ConnectionError):
            return None

    return ask


def gist(reply: bytes | None):
    """What an answer says, without what belongs to a transport."""
    if reply is None:
        return None
    message = wire.parse(reply)
    errors = extended_errors(message)
    return (message.id, message.rcode(), int(message.flags), message.sections, errors)


@pytest.mark.parametrize("what", ALL)
def test_everybody_gets_the_same_answer(start, ask, server, what):
    sotto = start(clients={"allow": [FRIEND]})
    gists = {}
    for transport in TRANSPORTS:
        gists[transport] = gist(ask(sotto, transport, ALL[what], timeout=3.0))
    for way in WAYS:
        gists[f"{way} by GET"] = gist(ask(sotto, way, ALL[what], make=get, timeout=3.0))
    assert gists["udp"] is not None
    assert all(found == gists["udp"] for found in gists.values()), gists
    assert not server.queries, "it was forwarded"
    if what in FORBIDDEN:
        assert gists["udp"][1] != dns.rcode.NOERROR or what == "CHAOS"


@pytest.mark.parametrize("what", ["a query", *ALL])
def test_strangers_are_refused_everywhere(start, ask, server, what):
    """Whatever they ask, and whoever they claim to be."""
    message = ALL.get(what, wire.query("name.test"))
    sotto = start(clients={"allow": [FRIEND]})
    claim = [("x-forwarded-for", FRIEND), ("forwarded", f"for={FRIEND}")]
    expected = None
    asked = 0
    for transport in TRANSPORTS:
        for fields in [[], claim] if transport in WAYS else [[]]:
            found = gist(ask(sotto, transport, message, STRANGER, fields))
            assert found is not None, transport
            expected = expected or found
            assert found == expected, transport
            asked += 1
    assert expected[1] == dns.rcode.REFUSED
    assert expected[4] == ([(PROHIBITED, None)] if message[11] else [])
    assert sotto.count("queries not allowed") == asked and not server.queries
    assert_own_raw(ask(sotto, "https h2", wire.query("friend.test")), "friend.test")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_strangers_are_met_with_silence_everywhere(start, ask, server, transport):
    """Over HTTP/2 the stream is reset, over the others the connection goes when it is idle."""
    sotto = start(clients={"allow": [FRIEND], "refuse": "drop"}, tcp={"idle-timeout": "300ms"})
    timeout = 0.1 if transport == "udp" else 8.0
    for message in [wire.query("name.test"), FORBIDDEN["axfr"], FORBIDDEN["update"]]:
        assert ask(sotto, transport, message, STRANGER, timeout=timeout) is None
    assert sotto.count("queries not allowed") == 3 and not server.queries
    assert_own_raw(ask(sotto, transport, wire.query("friend.test")), "friend.test")


@pytest.mark.parametrize("way", ["https h2", "http h2"])
def test_silence_on_a_stream_leaves_the_others(start, authority, way):
    """Each is for itself: the connection is not closed for one."""
    sotto = start(clients={"allow": [FRIEND], "refuse": "drop"})
    with connect(sotto, way, authority, make_socket=bound_to(STRANGER)) as client:
        for number in range(5):
            stream = client.send(get(wire.query(f"n{number}.test")))
            assert client.receive(stream) is None and not client.ended
        client.ping()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_reload_counts_for_connections_that_are_there(start, ask, authority, transport):
    sotto = start(clients={"allow": [FRIEND]})
    assert_own_raw(ask(sotto, transport, wire.query("before.test")), "before.test")
    sotto.reload(sotto.config | {"clients": {"allow": [STRANGER]}})
    reply = wire.parse(ask(sotto, transport, wire.query("after.test")))
    assert reply.rcode() == dns.rcode.REFUSED
    assert_own_raw(ask(sotto, transport, wire.query("let-in.test"), STRANGER), "let-in.test")


def test_a_rate_limit_is_for_what_can_be_forged(start, ask):
    """Over UDP; a client by HTTP has proved where it is."""
    sotto = start(clients={"allow": [FRIEND], "rate-limit": 1, "rate-limit-slip": 0})
    for transport in TRANSPORTS[1:]:
        for number in range(10):
            assert ask(sotto, transport, wire.query("localhost", ident=number)) is not None
    assert sotto.count("queries over the limit") == 0


def test_no_answer_is_a_query(start, ask, server):
    """Over HTTP that is the client's mistake, and said so; elsewhere it is silence."""
    sotto = start(clients={"allow": [FRIEND]})
    answer = wire.query("name.test", flags=wire.QR)
    assert ask(sotto, "udp", answer, timeout=0.3) is None
    for way in WAYS:
        with pytest.raises(AssertionError, match="status=400"):
            ask(sotto, way, answer)
    assert not server.queries
