"""TCP connections on which nothing or too little happens are closed in time."""

import socket
import time

import pytest

from lib import dns_wire as wire
from lib.clients import Bystanders, TcpClient, assert_own_raw
from lib.faulty_dot import hold
from lib.timing import scaled, within

IDLE = 0.6
MESSAGE = 0.4


@pytest.fixture
def sotto(dot_server, forward):
    return forward(dot_server(), tcp={"idle-timeout": "600ms", "message-timeout": "400ms"})


def seconds_until_closed(client: TcpClient, send_meanwhile=b"", every=0.1) -> float:
    """How long the server keeps the connection, while octets come one at a time."""
    started = time.monotonic()
    octets = iter(send_meanwhile)
    client.sock.settimeout(every)
    while time.monotonic() < started + scaled(5):
        try:
            if (octet := next(octets, None)) is not None:
                client.sock.send(bytes([octet]))
            if client.sock.recv(4096) == b"":
                return time.monotonic() - started
        except TimeoutError:
            pass
        except ConnectionError:
            return time.monotonic() - started
    raise AssertionError("still open after 5 s")


def test_a_silent_connection_is_closed(sotto):
    """C1"""
    with Bystanders(sotto.address), TcpClient(sotto.address) as client:
        assert IDLE * 0.8 <= seconds_until_closed(client) < scaled(IDLE + 1)
    assert sotto.count("idle clients") == 1 and sotto.count("slow clients") == 0


def test_one_octet_now_and_then_does_not_keep_it_open(sotto):
    """C1: the message must be whole in time, however alive its sender seems."""
    message = wire.framed(wire.query("slow.test"))
    with Bystanders(sotto.address), TcpClient(sotto.address) as client:
        assert MESSAGE * 0.8 <= seconds_until_closed(client, message) < scaled(MESSAGE + 1)
    assert sotto.count("slow clients") == 1 and sotto.count("idle clients") == 0


@pytest.mark.parametrize("part", [1, 2, 3, 20])
def test_half_a_message_and_then_silence(sotto, part):
    """C1: half a length prefix is half a message too."""
    with TcpClient(sotto.address) as client:
        client.send_octets(wire.framed(wire.query("half.test"))[:part])
        assert MESSAGE * 0.8 <= seconds_until_closed(client) < scaled(MESSAGE + 1)
    assert sotto.count("slow clients") == 1


def test_half_a_message_behind_a_whole_one(sotto):
    """C1: the whole one is answered; the time counts from when the half one began."""
    with TcpClient(sotto.address) as client:
        half = wire.framed(wire.query("half.test"))[:20]
        client.send_octets(wire.framed(wire.query("whole.test")) + half)
        assert_own_raw(client.receive(), "whole.test")
        seconds_until_closed(client)
    assert sotto.count("slow clients") == 1


def test_every_query_starts_the_idle_time_anew(sotto):
    """C1: three idle times long, a query each half."""
    with TcpClient(sotto.address) as client:
        for number in range(6):
            client.send(wire.query(f"name-{number}.test"))
            assert_own_raw(client.receive(), f"name-{number}.test")
            time.sleep(IDLE / 2)
        assert seconds_until_closed(client) < scaled(IDLE + 1)
    assert sotto.count("idle clients") == 1


def test_a_query_in_flight_is_no_idleness(dot_server, forward):
    """C1: the answer comes after more than the idle time."""
    server = dot_server(on_query=hold)
    sotto = forward(server, tcp={"idle-timeout": "200ms"})
    with TcpClient(sotto.address) as client:
        client.send(wire.query("held.test"))
        (query,) = server.wait_queries(1)
        client.sock.settimeout(0.6)
        with pytest.raises(TimeoutError):
            client.sock.recv(1)
        query.connection.answer(query)
        assert_own_raw(client.receive(), "held.test")
        assert client.receive() == b""
    assert sotto.count("idle clients") == 1


def test_the_client_is_told_the_idle_time_if_it_asks(sotto):
    """C1: edns-tcp-keepalive (RFC 7828), in units of 100 ms, over TCP only."""
    query = wire.query("name.test", options=[(wire.OPTION_KEEPALIVE, b"")])
    with TcpClient(sotto.address) as client:
        client.send(query, wire.query("other.test"))
        replies = [wire.parse(client.receive()) for _ in range(2)]
    told = [[option.to_wire() for option in reply.options] for reply in replies]
    assert sorted(told) == [[], [(6).to_bytes(2, "big")]]


def test_connections_that_end_at_once(sotto):
    """C1: opened and closed, by FIN and by RST, leave nothing behind."""
    before = sotto.open_files()
    with Bystanders(sotto.address):
        for number in range(200):
            client = TcpClient(sotto.address)
            if number % 2:
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.sock.close()
    with within(3.0):
        while sotto.open_files() > before + 1:
            time.sleep(0.02)
    assert sotto.count("connections accepted") == 200
