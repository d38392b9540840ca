"""An upstream that takes queries and closes, for ever."""

import pytest

from lib.clients import Bystanders, ask, ask_many, assert_failed, assert_own_answer
from lib.faulty_dot import Connection, serve
from lib.sotto_process import HEARD_BY
from lib.timing import within

MAX_TRIES = 3


def end_on_query(end):
    return dict(on_query=lambda conn, query: end(conn))


def end_on_accept(end):
    return dict(on_connection=lambda conn: end(conn))


def end_after_handshake(conn):
    conn.handshake()
    conn.close()


FOREVER = {
    "close-on-query": end_on_query(Connection.close),
    "reset-on-query": end_on_query(Connection.reset),
    "close-on-accept": end_on_accept(Connection.close),
    "reset-on-accept": end_on_accept(Connection.reset),
    "close-after-handshake": dict(on_connection=end_after_handshake),
}
each = pytest.mark.parametrize("options", FOREVER.values(), ids=FOREVER.keys())


@each
def test_three_tries_for_a_query_and_no_more(dot_server, forward, options):
    """T13: alone; three connections, three upstream queries."""
    server = dot_server(**options)
    sotto = forward(server)
    with within(HEARD_BY):
        assert_failed(ask(sotto.address, "doomed.test"))
    assert len(server.queries_for("doomed.test.")) <= MAX_TRIES
    assert len(server.connections) <= MAX_TRIES


@each
def test_many_queries_stay_within_the_budget(dot_server, forward, options):
    """T13: 100 at a time, 200 in all: and a back-off between."""
    server = dot_server(**options)
    sotto = forward(server)
    tally = ask_many(sotto.address, (f"doomed-{n}.test" for n in range(200)), window=100)
    assert (tally.failed, tally.lost) == (200, 0)
    assert (
        max((len(server.queries_for(f"doomed-{n}.test.")) for n in range(200)), default=0)
        <= MAX_TRIES
    )
    assert len(server.connections) <= 20 + 20 * tally.seconds * sotto.workers
    sotto.assert_not_spinning()


@each
def test_another_upstream_is_used(dot_server, forward, options):
    """T13"""
    server = dot_server(**options)
    sotto = forward(server, dot_server())
    for number in range(50):
        name = f"saved-{number}.test"
        with within(1.0):
            assert_own_answer(ask(sotto.address, name), name)
    assert len(server.connections) <= 20
    with Bystanders(sotto.address):
        tally = ask_many(sotto.address, (f"more-{n}.test" for n in range(500)))
    assert tally.right == 500


@each
def test_it_is_used_again_when_mended(dot_server, forward, options):
    """T13 T10"""
    server = dot_server(**options)
    sotto = forward(server)
    ask_many(sotto.address, (f"doomed-{number}.test" for number in range(20)))
    server.on_query, server.on_connection = (lambda conn, query: conn.answer(query)), serve
    with within(1.5):
        while ask(sotto.address, f"mended-{len(server.queries)}.test").rcode() != 0:
            server.stopping.wait(0.05)
