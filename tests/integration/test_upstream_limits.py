"""Upstreams that limit their connections: the limits are learnt, and no client pays for them."""

import pytest

from lib.clients import ask, ask_many, assert_own_answer
from lib.faulty_dot import serving

pytestmark = pytest.mark.one_worker


@pytest.mark.parametrize("limit", [1, 2, 10])
def test_so_many_queries_a_connection(dot_server, forward, limit):
    """T8: one after the other, then many at once."""
    server = dot_server(on_connection=serving(max_queries=limit))
    sotto = forward(server)
    for number in range(40):
        name = f"single-{number}.test"
        assert_own_answer(ask(sotto.address, name), name)
    tally = ask_many(sotto.address, (f"many-{number}.test" for number in range(200)), window=20)
    assert (tally.right, tally.failed) == (200, 0)
    assert sotto.count("upstream down") == 0


@pytest.mark.parametrize("limit", [1, 10])
def test_the_query_limit_is_learnt(dot_server, forward, limit):
    """T8: after a close under pipelined queries, no connection is given more than it takes."""
    server = dot_server(on_connection=serving(max_queries=limit))
    sotto = forward(server)
    tally = ask_many(sotto.address, (f"learn-{number}.test" for number in range(100)), window=20)
    assert tally.right == 100
    retries_before = sotto.count("retries")
    for number in range(60):
        name = f"learnt-{number}.test"
        assert_own_answer(ask(sotto.address, name), name)
    assert sotto.count("retries") - retries_before <= 5


@pytest.mark.parametrize("idle, queries", [(0.05, 25), (2.0, 3)])
def test_idle_closes_lose_no_query(dot_server, forward, idle, queries):
    """T8: each query comes just when the server closes."""
    server = dot_server(on_connection=serving(idle=idle))
    sotto = forward(server)
    for number in range(queries):
        name = f"idle-{number}.test"
        assert_own_answer(ask(sotto.address, name), name)
        server.stopping.wait(idle)
    assert sotto.count("failed queries") == sotto.count("upstream down") == 0


def test_the_idle_limit_is_learnt(dot_server, forward):
    """T8: sotto closes first, once it has seen the server close."""
    server = dot_server(on_connection=serving(idle=0.3))
    sotto = forward(server)
    closed_by_us_first = 0
    for number in range(6):
        name = f"idle-{number}.test"
        assert_own_answer(ask(sotto.address, name), name)
        conn = server.connections[-1]
        server.wait_for(lambda: conn.ended_at, "the connection ends")
        closed_by_us_first += conn.peer_closed is not None
    assert closed_by_us_first >= 3


def test_an_unsaid_idle_limit_of_ten_seconds_is_never_reached(dot_server, forward):
    """T8: big public resolvers close after 10 s without saying so."""
    server = dot_server(on_connection=serving(idle=10.0))
    sotto = forward(server)
    assert_own_answer(ask(sotto.address, "one.test"), "one.test")
    assert server.wait_closed(server.connections[0], 12.0) == "close_notify"
    assert_own_answer(ask(sotto.address, "two.test"), "two.test")
    assert server.connections[1].resumed
