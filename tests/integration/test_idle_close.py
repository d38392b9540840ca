"""An upstream that closes an idle connection has not failed."""

import pytest

from lib.clients import ask, assert_own_answer
from lib.faulty_dot import Connection

pytestmark = pytest.mark.one_worker

ENDINGS = {"close": Connection.close, "fin": Connection.fin, "reset": Connection.reset}


@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS.keys())
def test_the_next_query_opens_a_new_connection_with_a_ticket(dot_server, forward, end):
    """T5"""
    server = dot_server()
    sotto = forward(server)
    for number in range(6):
        name = f"idle-{number}.test"
        assert_own_answer(ask(sotto.address, name), name)
        conn = server.connections[-1]
        end(conn)
        server.wait_closed(conn)
    assert [conn.resumed for conn in server.connections[1:]] == [True] * (
        len(server.connections) - 1
    )
    assert sotto.count("connections resumed") >= 1
    assert sotto.count("failed queries") == sotto.count("upstream down") == 0
    assert not sotto.log_lines(r"is down")


@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS.keys())
def test_nothing_is_concluded_from_an_idle_close(dot_server, forward, end):
    """T5: the next connection carries as many queries as ever."""
    server = dot_server()
    sotto = forward(server)
    assert_own_answer(ask(sotto.address, "first.test"), "first.test")
    for conn in server.open_connections():
        end(conn)
    for number in range(20):
        name = f"next-{number}.test"
        assert_own_answer(ask(sotto.address, name), name)
    assert len(server.connections) <= 1 + 2 * sotto.workers


@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS.keys())
def test_one_close_shows_no_limit(dot_server, forward, end):
    """T5 T8: a server that restarts once is not one that closes whatever is idle for a moment."""
    server = dot_server()
    sotto = forward(server)
    assert_own_answer(ask(sotto.address, "first.test"), "first.test")
    server.stopping.wait(0.1)
    for conn in server.open_connections():
        end(conn)
    assert_own_answer(ask(sotto.address, "second.test"), "second.test")
    # Idle for longer than the first one was.
    server.stopping.wait(0.5)
    assert_own_answer(ask(sotto.address, "third.test"), "third.test")
    assert len(server.connections) == 2


@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS.keys())
def test_a_query_that_crosses_the_close_is_answered(dot_server, forward, end):
    """T5 T6: the query is on its way while the close is."""
    server = dot_server()
    sotto = forward(server)
    for number in range(30):
        first, second = f"first-{number}.test", f"second-{number}.test"
        assert_own_answer(ask(sotto.address, first), first)
        for conn in server.open_connections():
            end(conn)
        assert_own_answer(ask(sotto.address, second), second)
    assert sotto.count("failed queries") == sotto.count("upstream down") == 0


def test_our_own_idle_close_is_clean(dot_server, forward):
    """T5: close_notify first, and a ticket for the next time."""
    server = dot_server()
    sotto = forward(server, server_options={"idle-timeout": "200ms"})
    assert_own_answer(ask(sotto.address, "one.test"), "one.test")
    assert server.wait_closed(server.connections[0], 2.0) == "close_notify"
    assert_own_answer(ask(sotto.address, "two.test"), "two.test")
    assert server.connections[1].resumed
    assert sotto.count("idle closes") >= 1
