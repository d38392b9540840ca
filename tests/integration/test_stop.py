"""TERM: what was asked is answered, within bounds; then the program ends."""

import signal
import time

import dns.rcode
import pytest

from lib import dns_wire as wire
from lib.clients import TcpClient, UdpClient, assert_failed, assert_own_raw
from lib.faulty_dot import answer, by_name, hold
from lib.ports import own_address
from lib.timing import scaled, within


def answer_all(server, prefix: str) -> None:
    for query in server.queries_starting(prefix):
        query.connection.answer(query)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_what_is_in_flight_is_answered_first(dot_server, forward, sig):
    """E5: over UDP and TCP."""
    server = dot_server(on_query=hold)
    sotto = forward(server, timeout=5.0)
    udp_names = [f"udp-{number}.test" for number in range(50)]
    tcp_names = [f"tcp-{number}.test" for number in range(50)]
    with UdpClient(sotto.address) as udp, TcpClient(sotto.address) as tcp:
        udp.send_names(udp_names)
        tcp.send(*(wire.query(name, ident=i) for i, name in enumerate(tcp_names)))
        server.wait_queries(100)
        sotto.signal(sig)
        sotto.wait_log("stopping")
        answer_all(server, "")
        udp.receive_own(udp_names)
        replies = tcp.receive_all(50)
        assert tcp.receive() == b""
    for number, name in enumerate(tcp_names):
        assert_own_raw(replies[number], name)
    sotto.expect_exit(0)


@pytest.mark.parametrize("attempt", range(5))
def test_every_query_sent_before_is_answered(forward, fast_dot, attempt):
    """E5: also those that were not yet read when the signal came."""
    sotto = forward(fast_dot, timeout=5.0, log={"level": "info"})
    udp_names = [f"udp-{number}.test" for number in range(400)]
    tcp_names = [f"tcp-{number}.test" for number in range(400)]
    with UdpClient(sotto.address) as udp, TcpClient(sotto.address) as tcp:
        # Known to the worker, not only to the kernel's queue of connections.
        tcp.send(wire.query("hello.test"))
        assert_own_raw(tcp.receive(), "hello.test")
        udp.send_names(udp_names)
        tcp.send(*(wire.query(name, ident=i) for i, name in enumerate(tcp_names)))
        sotto.signal(signal.SIGTERM)
        udp.receive_own(udp_names)
        replies = tcp.receive_all(400)
    for number, name in enumerate(tcp_names):
        assert_own_raw(replies[number], name)
    sotto.expect_exit(0)


def test_the_wait_for_answers_is_bounded(dot_server, forward):
    """E5: by the time a query may take; then its client is told."""
    server = dot_server(on_query=by_name(answer, never=hold))
    sotto = forward(server, timeout=1.0)
    with UdpClient(sotto.address) as udp, TcpClient(sotto.address) as tcp:
        udp.send(wire.query("never-udp.test"))
        tcp.send(wire.query("never-tcp.test"))
        server.wait_for(lambda: len(server.queries_starting("never")) >= 2, "both")
        with within(2.0):
            sotto.signal(signal.SIGTERM)
            assert_failed(wire.parse(udp.receive()), dns.rcode.SERVFAIL)
            assert_failed(wire.parse(tcp.receive()), dns.rcode.SERVFAIL)
            sotto.expect_exit(0)


def test_idle_it_ends_at_once(dot_server, forward):
    """E5: open connections on either side are no reason to wait."""
    server = dot_server()
    sotto = forward(server)
    with TcpClient(sotto.address) as client:
        client.send(wire.query("name.test"))
        assert_own_raw(client.receive(), "name.test")
        with within(0.5):
            sotto.stop()
        assert client.receive() == b""
    assert server.wait_closed(server.connections[0]) in ("close_notify", "fin")


def test_the_second_signal_means_at_once(dot_server, forward):
    """E5: for who does not want to wait for the answers."""
    server = dot_server(on_query=hold)
    sotto = forward(server, timeout=60.0)
    with UdpClient(sotto.address) as udp:
        udp.send(wire.query("never.test"))
        server.wait_queries(1)
        sotto.signal(signal.SIGTERM)
        sotto.wait_log("stopping")
        deadline = time.monotonic() + scaled(5)
        while sotto.alive():
            assert time.monotonic() < deadline, "still there"
            sotto.signal(signal.SIGTERM)
            time.sleep(0.02)
    sotto.expect_exit(-signal.SIGTERM)


def test_a_client_that_does_not_read_does_not_hold_up_the_end(dot_server, forward):
    """E5"""

    def large(conn, query):
        text = wire.record(wire.QUESTION_POINTER, wire.TXT, b"\xff" + b"x" * 255)
        conn.answer(query, answer=[text] * 200)

    sotto = forward(dot_server(on_query=large))
    with TcpClient(sotto.address, 4096) as client:
        client.send(*(wire.query(f"large-{i}.test", wire.TXT) for i in range(15)))
        sotto.wait_count("upstream queries", 15)
        with within(3.0):
            sotto.stop()


def test_after_a_kill_it_starts_again_on_the_same_port(dot_server, forward):
    """E5: with connections of the old one still being wound up."""
    server = dot_server()
    host, port = own_address()
    first = forward(server, listen=[f"dns://{host}:{port}"])
    address = first.address
    with TcpClient(address) as client:
        client.send(wire.query("first.test"))
        assert_own_raw(client.receive(), "first.test")
        first.kill()
        second = forward(server, listen=[f"dns://{host}:{port}"])
    assert second.address == address
    with TcpClient(address) as client:
        client.send(wire.query("second.test"))
        assert_own_raw(client.receive(), "second.test")
