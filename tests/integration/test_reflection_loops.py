"""Datagrams made to start loops between servers: none of them gets a second one out of us."""

import pytest

from lib import dns_wire as wire
from lib import spoofed_udp
from lib.clients import Address, Bystanders, UdpClient, ask, assert_own_answer, assert_own_raw
from lib.net_namespace import NetNamespace
from lib.net_namespace import available as namespaces_available

needs_root = pytest.mark.skipif(not spoofed_udp.available(), reason="spoofing needs root")


@needs_root
def test_source_port_zero_is_dropped(dot_server, forward):
    """Q11: there is nobody to be answered, and the kernel would refuse to."""
    server = dot_server()
    sotto = forward(server)
    for number in range(20):
        query = wire.query(f"zero-{number}.test")
        spoofed_udp.send(Address("127.0.0.1", 0), sotto.address, query)
    assert_own_answer(ask(sotto.address, "after.test"), "after.test")
    assert sotto.count("refused sources") == 20
    assert sotto.count("send errors") == 0
    assert [query.name for query in server.queries] == ["after.test."]


@needs_root
@pytest.mark.parametrize(
    "message",
    [
        wire.query("self.test"),
        wire.query("localhost"),
        wire.query("self.test", flags=5 << 11),
        wire.query("self.test")[:-4],
        wire.query("self.test", flags=wire.QR),
    ],
    ids=["forwarded", "local", "notimp", "formerr", "response"],
)
def test_our_own_address_as_source_makes_no_loop(dot_server, forward, message):
    """Q11: the one reply comes back to ourselves, and is a response, which gets silence."""
    sotto = forward(dot_server())
    with Bystanders(sotto.address, interval=0.005) as bystanders:
        for _ in range(10):
            spoofed_udp.send(sotto.address, sotto.address, message)
        sotto.wait_count("ignored queries", 10)
    counters = sotto.counters()
    assert counters["queries_udp"] <= 20 + bystanders.asked
    assert counters["queries_ignored"] == 10
    sotto.assert_not_spinning(0.2)


@pytest.mark.skipif(not namespaces_available(), reason="needs a network namespace")
def test_a_query_from_port_53_is_one_like_any_other(dot_server, start_sotto, authority):
    """Q11: RFC 5452 forbids no source port, and old resolvers do send from 53."""
    namespace = NetNamespace()
    try:
        server = dot_server(make_socket=namespace.socket)
        sotto = start_sotto(
            {
                "upstream": {"servers": [{"url": server.url, "ca-file": str(authority.ca_path)}]},
                "listen": ["dns://127.0.0.1:53"],
            },
            wrap=namespace.command,
        )
        with UdpClient(sotto.address, namespace.socket) as usual:
            assert_own_raw(usual.exchange(wire.query("usual.test")), "usual.test")
        sock = namespace.socket(kind=2)
        with sock:
            sock.bind(("127.0.0.2", 53))
            sock.settimeout(5)
            sock.sendto(wire.query("from-53.test"), tuple(sotto.address))
            reply = sock.recv(4096)
            assert_own_raw(reply, "from-53.test")
            # A server that reflects what it gets: its response is the end of it.
            for _ in range(10):
                sock.sendto(reply, tuple(sotto.address))
            sock.sendto(wire.query("last.test"), tuple(sotto.address))
            assert_own_raw(sock.recv(4096), "last.test")
        assert sotto.count("ignored queries") == 10
    finally:
        namespace.close()
