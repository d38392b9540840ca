"""Connections that end with queries in flight: retried at once, each answered once."""

import threading

import pytest

from lib import dns_wire as wire
from lib.clients import Bystanders, ask, ask_many, assert_own_answer
from lib.faulty_dot import Connection, answer, hold, reply_to


def half_a_message(conn):
    conn.send_plain(wire.framed(reply_to(conn.queries[-1]))[:20])
    conn.reset()


def half_a_message_then_fin(conn):
    conn.send_plain(wire.framed(reply_to(conn.queries[-1]))[:20])
    conn.fin()


ENDINGS = {
    "fin": Connection.fin,
    "reset": Connection.reset,
    "close-notify-only": Connection.close_notify,
    "close": Connection.close,
    "half-a-message-reset": half_a_message,
    "half-a-message-fin": half_a_message_then_fin,
}
each_ending = pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS.keys())


def end_with_queries_in_flight(server, sotto, count, end):
    """Hold that many queries, end all connections, and see what the clients get."""
    server.on_query = hold
    tally = []
    names = [f"in-flight-{number}.test" for number in range(count)]
    clients = threading.Thread(
        target=lambda: tally.append(ask_many(sotto.address, names, window=count))
    )
    clients.start()
    server.wait_for(lambda: len(server.queries_starting("in-flight")) >= count, "all are asked")
    server.on_query = answer
    for conn in server.open_connections():
        if conn.queries:
            end(conn)
    clients.join()
    return tally[0]


@each_ending
@pytest.mark.parametrize("count", [1, 100])
def test_the_same_upstream_answers_on_a_new_connection(dot_server, forward, end, count):
    """T6"""
    server = dot_server()
    sotto = forward(server)
    assert_own_answer(ask(sotto.address, "warm.test"), "warm.test")
    tally = end_with_queries_in_flight(server, sotto, count, end)
    assert (tally.right, tally.failed, tally.wrong, tally.lost) == (count, 0, 0, 0)
    assert tally.worst_latency < 1.0, "retried at once, not after a time-out"
    asked = [query.name for query in server.queries_starting("in-flight")]
    assert len(asked) <= 2 * count
    assert sotto.count("broken connections") >= 1 and sotto.count("retries") >= count


@each_ending
@pytest.mark.parametrize("count", [1, 100])
def test_another_upstream_answers(dot_server, forward, end, count):
    """T6"""
    first, second = dot_server(), dot_server()
    sotto = forward(first, second)
    assert_own_answer(ask(sotto.address, "warm.test"), "warm.test")
    tally = end_with_queries_in_flight(first, sotto, count, end)
    assert (tally.right, tally.failed, tally.wrong, tally.lost) == (count, 0, 0, 0)
    assert tally.worst_latency < 1.0
    with Bystanders(sotto.address):
        assert_own_answer(ask(sotto.address, "after.test"), "after.test")


@each_ending
def test_retries_on_close_right_after_the_query_is_written(dot_server, forward, end):
    """T6: every second connection does so; no client notices."""

    def end_the_first(conn, query):
        if conn.number % 2 == 0:
            end(conn)
        else:
            conn.answer(query)
            conn.close()

    server = dot_server(on_query=end_the_first)
    sotto = forward(server)
    for number in range(20):
        name = f"written-{number}.test"
        assert_own_answer(ask(sotto.address, name), name)


@pytest.mark.one_worker
def test_two_stale_connections_in_a_row_do_not_defeat_the_retry(dot_server, forward):
    """T6: the retry takes a fresh connection, never another pooled one."""
    server = dot_server(on_query=hold)
    sotto = forward(server)
    # More in flight than one connection carries, so that several are pooled.
    names = [f"pool-{number}.test" for number in range(300)]
    tally = []
    clients = threading.Thread(
        target=lambda: tally.append(ask_many(sotto.address, names, window=300))
    )
    clients.start()
    for query in list(server.wait_queries(300)):
        query.connection.answer(query)
    clients.join()
    pooled = server.open_connections()
    assert len(pooled) >= 2 and tally[0].right == 300

    def stale(conn, query):
        if conn in pooled:
            conn.reset()
        else:
            conn.answer(query)

    server.on_query = stale
    assert_own_answer(ask(sotto.address, "stale.test"), "stale.test")
    assert len(server.queries_for("stale.test.")) == 2
