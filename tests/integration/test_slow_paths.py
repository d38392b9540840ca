"""Long, lossy and narrow ways to the upstream."""

import pytest

from lib import packet_filter
from lib.clients import ask_many, assert_own_answer, ask
from lib.faulty_dot import serve


def names(label, count):
    return (f"{label}-{number}.test" for number in range(count))


@pytest.mark.parametrize("rtt", [0.1, 0.3])
def test_pipelining_keeps_throughput_over_a_long_way(dot_server, forward, slow_link, rtt):
    """T12: 600 queries, 100 in flight, are six round trips and not six hundred."""
    link = slow_link(dot_server().port, rtt=rtt)
    sotto = forward(link.url("dot.test"), timeout=5)
    assert_own_answer(ask(sotto.address, "warm.test"), "warm.test")
    tally = ask_many(sotto.address, names("far", 600), window=100)
    assert (tally.right, tally.failed) == (600, 0)
    assert tally.seconds < 12 * rtt + 1
    assert sotto.count("upstream down") == 0


def test_a_long_way_costs_no_retries(dot_server, forward, slow_link):
    """T12: what is on its way is not asked again."""
    server = dot_server()
    sotto = forward(slow_link(server.port, rtt=0.3).url("dot.test"), timeout=5)
    assert ask_many(sotto.address, names("far", 100), window=10).right == 100
    assert len(server.queries_starting("far")) <= 105


@pytest.mark.parametrize("loss", [0.02, 0.1])
def test_lost_packets_delay_but_lose_no_query(dot_server, forward, loss):
    """T12"""

    def lossy(conn):
        packet_filter.drop_randomly(conn.sock, loss)
        serve(conn)

    sotto = forward(dot_server(on_connection=lossy), dot_server(), timeout=5)
    tally = ask_many(sotto.address, names("lossy", 500), window=50)
    assert (tally.right, tally.failed) == (500, 0)


def test_a_tiny_window_and_a_slow_reader_do_not_grow_memory(dot_server, forward):
    """T12: far more is asked than the upstream reads; the other one serves what it can't."""

    def slow_reader(conn):
        conn.handshake()
        conn.read_size, conn.read_pause = 128, 0.02
        while query := conn.read_query():
            conn.answer(query)

    slow = dot_server(on_connection=slow_reader, receive_buffer=2048)
    sotto = forward(slow, dot_server())
    assert_own_answer(ask(sotto.address, "warm.test"), "warm.test")
    before = sotto.resident_kib()
    tally = ask_many(sotto.address, names("flood", 10_000), window=500)
    assert tally.lost == tally.wrong == 0
    assert tally.right >= 9_500
    sotto.assert_not_grown(before, 20_000)


def test_a_narrow_way_is_no_fault(dot_server, forward, slow_link):
    """T12: 20 kB a second."""
    link = slow_link(dot_server().port, octets_per_second=20_000)
    sotto = forward(link.url("dot.test"), timeout=5)
    tally = ask_many(sotto.address, names("narrow", 200), window=10)
    assert (tally.right, tally.failed) == (200, 0)
    assert sotto.count("upstream down") == 0
