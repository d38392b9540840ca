"""Lengths that lie, and replies cut and joined in every way."""

import contextlib

import pytest

from lib import dns_wire as wire
from lib.clients import (
    Bystanders,
    TcpClient,
    UdpClient,
    ask,
    ask_many,
    assert_own_answer,
    assert_own_raw,
)
from lib.faulty_dot import by_name, hold, in_pieces, reply_to, serve
from lib.sotto_process import HEARD_BY
from lib.timing import within

WHOLE_LENGTH_LIES = {
    "length-0": b"\0\0",
    "length-1": b"\0\1x",
    "length-11": b"\0\x0b" + bytes(11),
    "length-0-many-times": b"\0\0" * 2000,
}
BROKEN_BODIES = {
    "length-65535": b"\xff\xff" + bytes(100),
    "half-a-body": b"\0\x40" + bytes(20),
    "half-a-length": b"\0",
}


@pytest.mark.parametrize("octets", WHOLE_LENGTH_LIES.values(), ids=WHOLE_LENGTH_LIES.keys())
def test_impossible_lengths_end_the_connection_at_once(dot_server, forward, octets):
    """R4"""
    liar = dot_server(on_query=by_name(bad=lambda conn, query: conn.send_plain(octets)))
    honest = dot_server()
    sotto = forward(liar, honest)
    assert_own_answer(ask(sotto.address, "good.test"), "good.test")
    with Bystanders(sotto.address), within(1.0):
        assert_own_answer(ask(sotto.address, "bad.test"), "bad.test")
    liar.wait_any_closed(1.0)
    assert sotto.count("invalid connections") >= 1


@pytest.mark.parametrize("ending", ["silence", "close"])
@pytest.mark.parametrize("octets", BROKEN_BODIES.values(), ids=BROKEN_BODIES.keys())
def test_a_body_that_never_comes_is_not_waited_for(dot_server, forward, octets, ending):
    """R4: whatever was in flight behind it is answered by another upstream."""

    def begin_a_body(conn, query):
        conn.send_plain(octets)
        if ending == "close":
            conn.close()
        else:
            conn.server.on_query = hold

    liar = dot_server(on_query=by_name(bad=begin_a_body, held=hold))
    honest = dot_server()
    sotto = forward(liar, honest)
    held = [f"held-{number}.test" for number in range(10)]
    assert_own_answer(ask(sotto.address, "good.test"), "good.test")
    with UdpClient(sotto.address) as client:
        client.send_names(held)
        liar.wait_queries(1 + len(held))
        with within(HEARD_BY):
            assert_own_answer(ask(sotto.address, "bad.test"), "bad.test")
            client.receive_own(held)
    liar.wait_any_closed()
    with Bystanders(sotto.address):
        assert_own_answer(ask(sotto.address, "later.test"), "later.test")


def test_replies_in_reverse_order_find_their_queries(dot_server, forward):
    """R12"""
    server = dot_server(on_query=hold)
    sotto = forward(server)
    names = [f"reverse-{number}.test" for number in range(100)]
    with UdpClient(sotto.address) as client:
        client.send_names(names)
        for query in reversed(server.wait_queries(len(names))):
            query.connection.answer(query)
        client.receive_own(names)


def test_ten_thousand_replies_at_once_find_their_queries(dot_server, forward):
    """R12: all held back, then given in reverse order."""
    count, of_each = 10_000, 100
    server = dot_server(on_query=by_name(held=hold))
    sotto = forward(server, timeout=30, **{"max-in-flight": 2 * count})
    names = [f"held-{number}.test" for number in range(count)]
    with contextlib.ExitStack() as stack:
        clients = []
        for start in range(0, count, of_each):
            client = stack.enter_context(TcpClient(sotto.address))
            idents = range(start, start + of_each)
            client.send(*(wire.query(names[ident], ident=ident) for ident in idents))
            clients.append(client)
        held = server.wait_for(
            lambda: len(server.queries) >= count and server.queries_starting("held"), "all", 30
        )
        for conn in server.open_connections():
            replies = [reply_to(query) for query in reversed(held) if query.connection is conn]
            conn.send_together(replies)
        for client in clients:
            for ident, reply in client.receive_all(of_each, 30).items():
                assert_own_raw(reply, names[ident])


def test_replies_in_tiny_segments_and_records(dot_server, forward):
    """R12: the ciphertext one octet a segment; the plaintext one octet a record."""

    def tiny_segments(conn):
        conn.output = in_pieces(1)
        serve(conn)

    def tiny_records(conn, query):
        for octet in wire.framed(reply_to(query)):
            conn.send_plain(bytes([octet]))

    server = dot_server(on_connection=tiny_segments, on_query=by_name(record=tiny_records))
    sotto = forward(server)
    for kind in ("segment", "record"):
        names = [f"{kind}-{number}.test" for number in range(20)]
        assert ask_many(sotto.address, names).right == len(names)
    assert len(server.connections) <= sotto.workers


def test_many_replies_in_one_record(dot_server, forward):
    """R12"""
    names = [f"together-{number}.test" for number in range(50)]
    server = dot_server(on_query=hold)
    sotto = forward(server)
    with UdpClient(sotto.address) as client:
        client.send_names(names)
        queries = server.wait_queries(len(names))
        for conn in server.open_connections():
            conn.send_together(reply_to(query) for query in queries if query.connection is conn)
        client.receive_own(names)
