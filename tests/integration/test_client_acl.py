"""Who is answered at all: one rule by address, whatever the transport and whatever is asked.

On loopback every address of 127.0.0.0/8 is ours to ask from.
"""

import dns.rcode
import pytest

from lib import dns_wire as wire
from lib.clients import (
    Address,
    UdpClient,
    ask,
    assert_failed,
    assert_own_answer,
    assert_own_raw,
    bound_to,
    extended_errors,
)
from lib.net_namespace import NetNamespace
from lib.net_namespace import available as namespaces_available
from lib.transports import TRANSPORTS, connect

needs_namespace = pytest.mark.skipif(not namespaces_available(), reason="needs a network namespace")

FRIEND, STRANGER = "127.0.0.2", "127.0.0.3"
PROHIBITED = 18

OPT = wire.opt_record()
UPDATE, NOTIFY = 5 << 11, 4 << 11
FORBIDDEN = {
    "query": wire.query("name.test"),
    "any": wire.query("name.test", wire.ANY),
    "local": wire.query("localhost"),
    "identity": wire.query("version.bind", wire.TXT, rdclass=wire.CH),
    "axfr": wire.query("test", 252),
    "ixfr": wire.query("test", 251),
    "update": wire.query("test", wire.SOA, flags=UPDATE),
    "notify": wire.query("test", wire.SOA, flags=NOTIFY),
    "version": wire.message(
        0x1234, 0, [wire.question(b"\0")], additional=[wire.opt_record(version=1)]
    ),
    "no question": wire.message(0x1234, wire.RD, additional=[OPT]),
}


def ask_from(source: str, sotto, transport: str, message: bytes) -> bytes:
    with connect(sotto.address, transport, make_socket=bound_to(source)) as client:
        return client.exchange(message)


def assert_answers(sotto, source: str, name: str) -> None:
    for transport in TRANSPORTS:
        assert_own_raw(ask_from(source, sotto, transport, wire.query(name)), name)


def assert_refuses(sotto, source: str, message: bytes = FORBIDDEN["query"]) -> None:
    for transport in TRANSPORTS:
        reply = wire.parse(ask_from(source, sotto, transport, message))
        assert_failed(reply, dns.rcode.REFUSED)
        assert extended_errors(reply) == [(PROHIBITED, None)]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_strangers_are_refused_whatever_they_ask(dot_server, forward, what):
    """C14: the same refusal over each transport."""
    server = dot_server()
    sotto = forward(server, clients={"allow": [FRIEND]})
    assert_refuses(sotto, STRANGER, FORBIDDEN[what])
    assert sotto.count("queries not allowed") == len(TRANSPORTS)
    assert not server.queries
    assert_answers(sotto, FRIEND, "friend.test")


def test_the_refusal_is_hardly_larger_than_the_question(dot_server, forward):
    """C8: the source may be forged."""
    sotto = forward(dot_server(), clients={"allow": [FRIEND]})
    message = FORBIDDEN["query"]
    assert len(ask_from(STRANGER, sotto, "udp", message)) == len(message) + 6


def test_strangers_are_met_with_silence(dot_server, forward):
    """C14: over TCP too, where the connection goes when it is idle."""
    server = dot_server()
    sotto = forward(
        server, clients={"allow": [FRIEND], "refuse": "drop"}, tcp={"idle-timeout": "300ms"}
    )
    with connect(sotto.address, "udp", make_socket=bound_to(STRANGER)) as client:
        for message in FORBIDDEN.values():
            client.send(message)
        sotto.wait_count("queries not allowed", len(FORBIDDEN))
        assert_answers(sotto, FRIEND, "friend.test")
        with pytest.raises(TimeoutError):
            client.receive(0.2)
    with connect(sotto.address, "tcp", make_socket=bound_to(STRANGER)) as client:
        client.send(*FORBIDDEN.values())
        assert client.receive() == b""  # closed
    assert sotto.count("queries not allowed") == 2 * len(FORBIDDEN)
    assert {query.name for query in server.queries} == {"friend.test."}


def test_reload_lets_in_and_keeps_out(dot_server, forward):
    """On a connection that is there already, too."""
    sotto = forward(dot_server(), clients={"allow": [FRIEND]})
    assert_refuses(sotto, STRANGER)
    with connect(sotto.address, "tcp", make_socket=bound_to(FRIEND)) as friend:
        assert_own_raw(friend.exchange(wire.query("before.test")), "before.test")
        sotto.reload(sotto.config | {"clients": {"allow": [f"{STRANGER}/32"]}})
        assert_answers(sotto, STRANGER, "let-in.test")
        reply = wire.parse(friend.exchange(wire.query("after.test")))
        assert_failed(reply, dns.rcode.REFUSED)
    sotto.reload(sotto.config | {"clients": {"allow": ["any"], "refuse": "drop"}})
    assert_answers(sotto, FRIEND, "again.test")


def test_the_command_line_replaces_the_list_of_the_file(dot_server, forward):
    options = ["--allow", STRANGER, "--allow", "192.0.2.0/24"]
    sotto = forward(dot_server(), clients={"allow": [FRIEND]}, process={"arguments": options})
    assert_answers(sotto, STRANGER, "name.test")
    assert_refuses(sotto, FRIEND)


@pytest.fixture
def namespace():
    namespace = NetNamespace()
    for address in ["192.0.2.1/32", "192.168.7.1/32"]:
        namespace.ip("addr", "add", address, "dev", "lo")
    for address in ["2001:db8::1/128", "fd00::1/128"]:
        namespace.ip("addr", "add", address, "dev", "lo", "nodad")
    yield namespace
    namespace.close()


@pytest.fixture
def forward_inside(namespace, identity, dot_server, forward):
    def start(**options):
        server = dot_server(make_socket=namespace.socket)
        return forward(server, process={"wrap": namespace.command}, **options)

    return start


def exchange_inside(namespace, source: str, port: int, name: str):
    """A query from this address to itself."""

    def bound(family, kind):
        sock = namespace.socket(family, kind)
        sock.bind((source, 0))
        return sock

    with UdpClient(Address(source, port), bound) as client:
        return wire.parse(client.exchange(wire.query(name)))


@needs_namespace
@pytest.mark.parametrize("wildcard", ["*", "0.0.0.0"])
def test_by_default_only_neighbours_are_answered(namespace, forward_inside, wildcard):
    """IPv4 addresses are what they are on a socket for both families as well."""
    sotto = forward_inside(listen=[f"dns://{wildcard}:0"])
    port = sotto.address.port
    private, public = ["127.0.0.1", "192.168.7.1"], ["192.0.2.1"]
    if wildcard == "*":
        private += ["::1", "fd00::1"]
        public += ["2001:db8::1"]
    for source in private:
        assert_own_answer(exchange_inside(namespace, source, port, "name.test"), "name.test")
    for source in public:
        assert_failed(exchange_inside(namespace, source, port, "name.test"), dns.rcode.REFUSED)
    assert not sotto.log_lines("open resolver")


@needs_namespace
def test_an_open_resolver_is_warned_of(namespace, forward_inside):
    sotto = forward_inside(
        listen=["dns://0.0.0.0:0", "dns://192.0.2.1:0", "dns://192.168.7.1:0"],
        clients={"allow": ["private", "any"]},
    )
    said = sotto.log_lines("open resolver")
    assert [r"0.0.0.0" in line or "192.0.2.1" in line for line in said] == [True, True]
    assert all("clients: allow" in line and "WARN" in line.upper() for line in said)
    reply = exchange_inside(namespace, "192.0.2.1", sotto.address.port, "name.test")
    assert_own_answer(reply, "name.test")
    mark = sotto.mark()
    sotto.reload(sotto.config | {"clients": {"allow": ["private", "192.0.2.0/24"]}})
    assert not sotto.log_lines("open resolver", after=mark)
    sotto.reload(sotto.config | {"clients": {"allow": ["0.0.0.0/0"]}})
    sotto.wait_log("open resolver", after=mark)


def test_loopback_alone_is_not_open(dot_server, forward):
    sotto = forward(dot_server(), clients={"allow": ["any"]})
    assert_own_answer(ask(sotto.address, "name.test"), "name.test")
    assert not sotto.log_lines("open resolver")
