"""EDNS options in replies: hop by hop, and obeyed within bounds."""

import pytest

from lib import dns_wire as wire
from lib.clients import ask, ask_many, assert_own_answer
from lib.faulty_dot import answering

ECS_EVERYWHERE = (wire.OPTION_ECS, bytes.fromhex("00010000"))
COOKIE = (wire.OPTION_COOKIE, bytes(range(24)))
UNKNOWN = (65001, b"unknown")


def keepalive(*octets: int):
    return answering(options=[(wire.OPTION_KEEPALIVE, bytes(octets))])


@pytest.mark.parametrize("option", [ECS_EVERYWHERE, COOKIE, UNKNOWN], ids=["ecs", "cookie", "new"])
@pytest.mark.parametrize("tcp", [False, True])
def test_options_we_did_not_ask_for_are_not_passed_on(dot_server, forward, option, tcp):
    """R10"""
    sotto = forward(dot_server(on_query=answering(options=[option])))
    reply = ask(sotto.address, "options.test", tcp=tcp)
    assert_own_answer(reply, "options.test")
    assert option[0] not in [got.otype for got in reply.options]


def test_keepalive_zero_closes_after_the_answers(dot_server, forward):
    """R11: the connection takes no more queries, and no client notices."""
    server = dot_server(on_query=keepalive(0, 0))
    sotto = forward(server)
    for number in range(5):
        name = f"zero-{number}.test"
        assert_own_answer(ask(sotto.address, name), name)
        server.wait_closed(server.connections[-1], 1.0)
    tally = ask_many(sotto.address, (f"many-{number}.test" for number in range(200)))
    assert (tally.right, tally.failed) == (200, 0)
    assert sotto.count("upstream down") == 0


@pytest.mark.one_worker
def test_a_short_keepalive_is_obeyed(dot_server, forward):
    """R11: 100 ms"""
    server = dot_server(on_query=keepalive(0, 1))
    sotto = forward(server)
    assert_own_answer(ask(sotto.address, "short.test"), "short.test")
    (conn,) = server.connections
    assert server.wait_closed(conn, 1.0) in ("close_notify", "fin")
    assert_own_answer(ask(sotto.address, "again.test"), "again.test")
    assert server.connections[1].resumed
    assert sotto.count("broken connections") == 0


def test_the_longest_keepalive_is_bounded_by_our_own_limit(dot_server, forward):
    """R11: 65535 means almost two hours"""
    server = dot_server(on_query=keepalive(255, 255))
    sotto = forward(server, server_options={"idle-timeout": "300ms"})
    assert_own_answer(ask(sotto.address, "long.test"), "long.test")
    assert server.wait_closed(server.connections[0], 2.0) in ("close_notify", "fin")


@pytest.mark.parametrize("octets", [(), (0,), (0, 0, 0), bytes(100)], ids=len)
def test_a_keepalive_of_wrong_length_is_ignored(dot_server, forward, octets):
    """R11"""
    server = dot_server(on_query=keepalive(*octets))
    sotto = forward(server)
    for number in range(10):
        name = f"wrong-{number}.test"
        assert_own_answer(ask(sotto.address, name), name)
    assert len(server.connections) <= sotto.workers
