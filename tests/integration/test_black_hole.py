"""Paths that are dead without saying so."""

import pytest

from lib import packet_filter
from lib.clients import Bystanders, ask, ask_many, assert_own_answer
from lib.faulty_dot import hold
from lib.sotto_process import HEARD_BY
from lib.timing import within

pytestmark = pytest.mark.one_worker


def stop_answering(server):
    server.on_query = hold


def lose_all_packets(server):
    for conn in server.open_connections():
        conn.black_hole()
    packet_filter.drop_everything(server.listener)


def lose_packets_of_old_connections(server):
    for conn in server.open_connections():
        conn.black_hole()


DEATHS = {"stops-answering": stop_answering, "loses-all-packets": lose_all_packets}


@pytest.mark.parametrize("die", DEATHS.values(), ids=DEATHS.keys())
def test_another_upstream_takes_over_within_a_second(dot_server, forward, die):
    """T7"""
    first, second = dot_server(), dot_server()
    sotto = forward(first, second)
    tally = ask_many(sotto.address, (f"before-{number}.test" for number in range(50)))
    assert tally.right == 50 and not second.queries
    die(first)
    tally = ask_many(sotto.address, (f"during-{number}.test" for number in range(50)))
    assert tally.right == 50 and tally.worst_latency < HEARD_BY
    # Noticed: nobody waits for it any more.
    with Bystanders(sotto.address, within=0.3):
        tally = ask_many(sotto.address, (f"after-{number}.test" for number in range(50)))
    assert tally.right == 50 and tally.worst_latency < 0.5
    assert sotto.count("timeouts") >= 1


def test_a_dead_connection_to_a_live_upstream_is_replaced_in_seconds(dot_server, forward):
    """T7: as after a change of the NAT; there is no other upstream."""
    server = dot_server()
    sotto = forward(server, timeout=5)
    assert_own_answer(ask(sotto.address, "before.test"), "before.test")
    lose_packets_of_old_connections(server)
    with within(5.0):
        assert_own_answer(ask(sotto.address, "during.test"), "during.test")
    with within(0.5):
        assert_own_answer(ask(sotto.address, "after.test"), "after.test")
    assert sotto.count("stalled connections") >= 1


def test_slow_is_not_dead(dot_server, forward):
    """T7: one name that takes long does not cost the connection, nor the other names anything."""

    def slow_or_quick(conn, query):
        conn.later(1.5 if query.name.startswith("slow") else 0.0, conn.answer, query)

    server = dot_server(on_query=slow_or_quick)
    sotto = forward(server)
    with Bystanders(sotto.address, within=0.5):
        for number in range(2):
            assert_own_answer(ask(sotto.address, f"slow-{number}.test"), f"slow-{number}.test")
    assert len(server.connections) <= sotto.workers
    assert sotto.count("upstream down") == 0


def test_it_is_used_again_when_it_answers_again(dot_server, forward):
    """T7"""
    first, second = dot_server(), dot_server()
    sotto = forward(first, second)
    assert_own_answer(ask(sotto.address, "before.test"), "before.test")
    lose_all_packets(first)
    ask_many(sotto.address, (f"during-{number}.test" for number in range(50)))
    packet_filter.drop_nothing(first.listener)
    for number in range(1000):
        name = f"back-{number}.test"
        assert_own_answer(ask(sotto.address, name), name)
        if first.queries_starting("back"):
            break
        first.stopping.wait(0.02)
    assert first.queries_starting("back")
