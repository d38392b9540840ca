"""Where it listens: transports, families, wildcards, addresses that come and go."""

import socket
import subprocess

import pytest

from lib import dns_wire as wire
from lib.clients import (
    Address,
    TcpClient,
    UdpClient,
    ask,
    assert_own_answer,
    assert_own_raw,
)
from lib.net_namespace import NetNamespace
from lib.net_namespace import available as namespaces_available
from lib.ports import own_address

needs_namespace = pytest.mark.skipif(
    not namespaces_available(), reason="needs a network namespace (root)"
)


@pytest.fixture
def namespace():
    made = NetNamespace()
    yield made
    made.close()


@pytest.fixture
def forward_inside(namespace, dot_server, forward):
    """The program and its upstream, both in the namespace: `forward_inside(listen=[…])`."""

    def start(**options):
        server = dot_server(make_socket=namespace.socket)
        return forward(server, process={"wrap": namespace.command}, **options)

    return start


def exchange(address: Address, make_socket, name: str) -> None:
    with UdpClient(address, make_socket) as client:
        assert_own_raw(client.exchange(wire.query(name)), name)


def exchange_tcp(address: Address, make_socket, name: str) -> None:
    with make_socket(address.family, socket.SOCK_STREAM) as sock:
        sock.settimeout(5)
        sock.connect(tuple(address))
        sock.sendall(wire.framed(wire.query(name)))
        assert_own_raw(sock.recv(4096)[2:], name)


def assert_no_udp(address: Address) -> None:
    with UdpClient(address) as client, pytest.raises(ConnectionRefusedError):
        client.exchange(wire.query("name.test"))


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
@pytest.mark.parametrize("scheme", ["dns", "udp", "tcp", ""])
def test_the_scheme_chooses_the_transports(dot_server, forward, scheme, host):
    """dns:// is both, as is no scheme at all."""
    url = f"{scheme}://{host}:0" if scheme else f"{host}:0"
    sotto = forward(dot_server(), listen=[url])
    assert [kind for kind, _ in sotto.listeners] == [scheme or "dns"]
    if scheme != "tcp":
        assert_own_answer(ask(sotto.address, "udp.test"), "udp.test")
    else:
        assert_no_udp(sotto.address)
    if scheme != "udp":
        assert_own_answer(ask(sotto.address, "tcp.test", tcp=True), "tcp.test")
    else:
        with pytest.raises(ConnectionRefusedError):
            TcpClient(sotto.address)


@pytest.mark.parametrize("wildcard", ["0.0.0.0", "[::]", "*"])
def test_replies_leave_from_the_address_that_was_asked(dot_server, forward, wildcard):
    """E6: on a wildcard bind. A connected socket takes replies from nobody else."""
    sotto = forward(dot_server(), listen=[f"dns://{wildcard}:0"])
    port = sotto.address.port
    for number in range(1, 8):
        address = Address(f"127.0.0.{number}", port)
        assert_own_answer(ask(address, f"udp-{number}.test"), f"udp-{number}.test")
        assert_own_answer(ask(address, f"tcp-{number}.test", tcp=True), f"tcp-{number}.test")
        exchange(address, socket.socket, f"connected-{number}.test")
    if wildcard != "0.0.0.0":
        exchange(Address("::1", port), socket.socket, "six.test")


def test_both_wildcards_on_one_port(dot_server, forward):
    """E6: each family has its own socket then."""
    _, port = own_address()
    sotto = forward(dot_server(), listen=[f"dns://0.0.0.0:{port}", f"dns://[::]:{port}"])
    exchange(Address("127.0.0.3", port), socket.socket, "four.test")
    exchange(Address("::1", port), socket.socket, "six.test")
    assert len(sotto.listeners) == 2


@needs_namespace
def test_ipv6_replies_leave_from_the_address_that_was_asked(namespace, forward_inside):
    """E6: of several on the same interface."""
    for number in range(1, 4):
        namespace.ip("addr", "add", f"fd00::{number}/128", "dev", "lo", "nodad")
    sotto = forward_inside(listen=["dns://[::]:0"])
    for number in range(1, 4):
        address = Address(f"fd00::{number}", sotto.address.port)
        exchange(address, namespace.socket, f"name-{number}.test")
        exchange_tcp(address, namespace.socket, f"tcp-{number}.test")


@needs_namespace
def test_without_ipv6_the_default_listens_on_ipv4(namespace, forward_inside):
    """E6: carries on, and says what is missing."""
    write = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"
    subprocess.run(namespace.command(["sh", "-c", write]), check=True)
    sotto = forward_inside(listen=["dns://127.0.0.1:53", "dns://[::1]:53"])
    assert sotto.log_lines(r"\[::1\]:53")
    exchange(sotto.address, namespace.socket, "name.test")
    sotto.reload()
    exchange(sotto.address, namespace.socket, "again.test")


@needs_namespace
def test_an_address_that_goes_and_comes_back(namespace, forward_inside):
    """E6: nothing spins meanwhile, the other address goes on, and it is there again at once."""
    namespace.ip("addr", "add", "10.9.0.1/32", "dev", "lo")
    sotto = forward_inside(listen=["dns://127.0.0.1:53", "dns://10.9.0.1:53"])
    away = Address("10.9.0.1", 53)
    for round_ in range(2):
        exchange(away, namespace.socket, f"there-{round_}.test")
        exchange_tcp(away, namespace.socket, f"there-tcp-{round_}.test")
        namespace.ip("addr", "del", "10.9.0.1/32", "dev", "lo")
        exchange(sotto.address, namespace.socket, f"other-{round_}.test")
        sotto.assert_not_spinning(0.2)
        namespace.ip("addr", "add", "10.9.0.1/32", "dev", "lo")
    exchange(away, namespace.socket, "back.test")
    exchange_tcp(away, namespace.socket, "back-tcp.test")


@needs_namespace
def test_an_address_that_goes_while_its_query_is_in_flight(namespace, dot_server, forward):
    """E6: the reply cannot be sent; that is counted, and no harm done."""
    namespace.ip("addr", "add", "10.9.0.1/32", "dev", "lo")
    server = dot_server(make_socket=namespace.socket, on_query=lambda conn, query: None)
    sotto = forward(
        server, process={"wrap": namespace.command}, listen=["dns://0.0.0.0:53"], timeout=5.0
    )
    with UdpClient(Address("10.9.0.1", 53), namespace.socket) as client:
        client.send(wire.query("late.test"))
        (query,) = server.wait_queries(1)
        namespace.ip("addr", "del", "10.9.0.1/32", "dev", "lo")
        query.connection.answer(query)
        sotto.wait_count("send errors", 1)
    server.on_query = lambda conn, query: conn.answer(query)
    exchange(Address("127.0.0.1", 53), namespace.socket, "after.test")


@needs_namespace
def test_three_hundred_addresses(namespace, forward_inside):
    """E6"""
    hosts = [f"127.0.{number // 250 + 1}.{number % 250 + 1}" for number in range(300)]
    sotto = forward_inside(listen=[f"dns://{host}:53" for host in hosts])
    assert [address.host for _, address in sotto.listeners] == hosts
    for host in hosts[::50] + hosts[-1:]:
        exchange(Address(host, 53), namespace.socket, f"at-{host}.test".replace(".", "-"))
        exchange_tcp(Address(host, 53), namespace.socket, "tcp.test")
    sotto.reload({**sotto.config, "listen": [f"dns://{host}:53" for host in hosts[:150]]})
    exchange(Address(hosts[0], 53), namespace.socket, "kept.test")
    sotto.assert_not_spinning(0.2)
