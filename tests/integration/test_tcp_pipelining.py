"""Many queries on one TCP connection: answered when their answers are there, each its own."""

import random
import socket

import pytest

from lib import dns_wire as wire
from lib.clients import Bystanders, TcpClient, assert_own_raw, ident_of
from lib.faulty_dot import ConnectionGone, answer, by_name, hold
from lib.timing import wait_until


def test_answers_overtake_each_other(dot_server, forward):
    """RFC 7766 section 6.2.1.1: the slow one holds up nobody."""
    server = dot_server(on_query=by_name(answer, slow=hold))
    sotto = forward(server)
    with TcpClient(sotto.address) as client:
        client.send(wire.query("slow.test", ident=1), wire.query("quick.test", ident=2))
        assert_own_raw(client.receive(), "quick.test")
        (slow,) = server.wait_for(lambda: server.queries_for("slow.test."), "the slow query")
        slow.connection.answer(slow)
        assert_own_raw(client.receive(), "slow.test")


def test_a_thousand_in_one_segment_and_octet_by_octet(dot_server, forward):
    """RFC 7766: however the octets arrive."""
    sotto = forward(dot_server())
    names = [f"name-{number}.test" for number in range(1000)]
    stream = b"".join(wire.framed(wire.query(name, ident=i)) for i, name in enumerate(names))
    cuts = random.Random(5)
    with TcpClient(sotto.address) as client:
        client.send_octets(stream)
        replies = client.receive_all(1000)
        at = 0
        while at < len(stream):
            step = cuts.choice((1, 1, 2, 3, 50, 700))
            client.send_octets(stream[at : at + step])
            at += step
        again = client.receive_all(1000)
    for number, name in enumerate(names):
        assert_own_raw(replies[number], name)
        assert_own_raw(again[number], name)


def test_no_more_than_the_limit_is_in_flight_at_once(dot_server, forward):
    """RFC 9210: the rest waits, unread, and is answered in its turn."""
    server = dot_server(on_query=hold)
    sotto = forward(server, timeout=5.0, tcp={"max-in-flight": 10})
    names = [f"name-{number}.test" for number in range(35)]
    with TcpClient(sotto.address) as client:
        client.send(*(wire.query(name, ident=i) for i, name in enumerate(names)))
        answered = 0
        while answered < len(names):
            expected = min(answered + 10, len(names))
            server.wait_queries(expected)
            assert len(server.queries) == expected
            query = server.queries[answered]
            query.connection.answer(query)
            assert_own_raw(client.receive(), query.name)
            answered += 1


def test_half_closed_connections_get_all_their_answers(dot_server, forward):
    """C4: more than may be in flight at once, the answers all held back until the FIN is there."""
    server = dot_server(on_query=hold)
    sotto = forward(server, timeout=5.0, tcp={"max-in-flight": 10})
    names = [f"name-{number}.test" for number in range(50)]
    with TcpClient(sotto.address) as client:
        client.send(*(wire.query(name, ident=i) for i, name in enumerate(names)))
        client.sock.shutdown(socket.SHUT_WR)
        for number in range(50):
            server.wait_queries(number + 1)
            query = server.queries[number]
            query.connection.answer(query)
        replies = client.receive_all(50)
        assert client.receive() == b"", "closed once all is answered"
    for number, name in enumerate(names):
        assert_own_raw(replies[number], name)


def test_half_close_behind_half_a_message(dot_server, forward):
    """C4: the whole ones are answered, then it is closed."""
    sotto = forward(dot_server())
    with TcpClient(sotto.address) as client:
        half = wire.framed(wire.query("half.test"))[:9]
        client.send_octets(wire.framed(wire.query("whole.test")) + half)
        client.sock.shutdown(socket.SHUT_WR)
        assert_own_raw(client.receive(), "whole.test")
        assert client.receive() == b""


def test_half_close_without_a_query(dot_server, forward):
    """C4"""
    sotto = forward(dot_server())
    with TcpClient(sotto.address) as client:
        client.sock.shutdown(socket.SHUT_WR)
        assert client.receive() == b""


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_closing_with_queries_in_flight_harms_nobody(dot_server, forward, how):
    """C5: the answers come when the client is gone."""
    server = dot_server(on_query=by_name(answer, gone=hold))
    sotto = forward(server)
    files = sotto.open_files()
    with Bystanders(sotto.address, within=2.0):
        for round_ in range(5):
            clients = [TcpClient(sotto.address) for _ in range(10)]
            for who, client in enumerate(clients):
                names = (f"gone-{round_}-{who}-{number}.test" for number in range(20))
                client.send(*map(wire.query, names))
            server.wait_for(lambda: len(server.queries_starting("gone")) >= 200 * (round_ + 1), "")
            for client in clients:
                if how == "rst":
                    linger = b"\1\0\0\0\0\0\0\0"
                    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                client.sock.close()
            for query in server.queries_starting(f"gone-{round_}"):
                try:
                    query.connection.answer(query)
                except ConnectionGone:
                    pass
    wait_until(
        lambda: sotto.open_files() <= files + len(server.open_connections()),
        5,
        "descriptors are given back",
    )
    sotto.assert_not_spinning(0.2)


def test_closing_while_answers_are_written(dot_server, forward, fast_dot):
    """C5: in the middle of a burst of answers."""
    sotto = forward(fast_dot, log={"level": "info"})
    burst = [wire.query(f"burst-{number}.test", ident=number) for number in range(300)]
    with Bystanders(sotto.address, within=2.0):
        for number in range(60):
            with TcpClient(sotto.address) as client:
                client.send(*burst)
                for _ in range(number % 4):
                    client.receive()
                if number % 2:
                    linger = b"\1\0\0\0\0\0\0\0"
                    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def test_the_same_id_twice_on_one_connection(dot_server, forward):
    """C6: each is answered, each with its own question."""
    server = dot_server(on_query=by_name(answer, first=hold))
    sotto = forward(server)
    with TcpClient(sotto.address) as client:
        client.send(wire.query("first.test", ident=7), wire.query("second.test", ident=7))
        second = client.receive()
        (first,) = server.wait_for(lambda: server.queries_for("first.test."), "the first query")
        first.connection.answer(first)
        replies = [second, client.receive()]
    assert [ident_of(reply) for reply in replies] == [7, 7]
    assert_own_raw(replies[0], "second.test")
    assert_own_raw(replies[1], "first.test")
