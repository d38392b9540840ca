"""Which upstream is asked: failover, fastest, balance, parallel."""

import pytest

from lib import dns_wire as wire
from lib.clients import Bystanders, ask, ask_many, assert_failed, assert_own_answer
from lib.faulty_dot import answering, by_name, hold
from lib.sotto_process import HEARD_BY
from lib.timing import within

STRATEGIES = ["failover", "fastest", "balance", "parallel"]


def names(label, count):
    return (f"{label}-{number}.test" for number in range(count))


def own_queries(server):
    """Without the program's own probes."""
    return [query for query in server.queries if query.name.endswith(".test.")]


def delayed(seconds):
    return lambda conn, query: conn.later(seconds, conn.answer, query)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_survives_a_dead_upstream(dot_server, forward, strategy):
    dead = dot_server(listening=False)
    sotto = forward(dead, dot_server(), strategy=strategy)
    with Bystanders(sotto.address):
        tally = ask_many(sotto.address, names("survive", 300))
    assert (tally.right, tally.failed) == (300, 0)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_says_so_when_all_are_dead(dot_server, forward, strategy):
    dead = [dot_server(listening=False) for _ in range(3)]
    sotto = forward(*dead, strategy=strategy)
    with within(HEARD_BY):
        assert_failed(ask(sotto.address, "dead.test"), reason="connect")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_query_costs_more_than_three_upstream_queries(dot_server, forward, strategy):
    servers = [dot_server(on_query=answering(rcode=wire.SERVFAIL)) for _ in range(5)]
    sotto = forward(*servers, strategy=strategy)
    for name in names("budget", 10):
        with within(HEARD_BY):
            assert ask(sotto.address, name).rcode() == wire.SERVFAIL
        assert sum(len(server.queries_for(name + ".")) for server in servers) <= 3


# failover


def test_failover_asks_the_first_as_long_as_it_is_well(dot_server, forward):
    first, second = dot_server(), dot_server()
    sotto = forward(first, second, strategy="failover")
    assert ask_many(sotto.address, names("first", 300)).right == 300
    assert len(own_queries(first)) == 300 and not second.queries


def test_failover_returns_to_the_first_when_it_is_back(dot_server, forward):
    first, second = dot_server(), dot_server()
    sotto = forward(first, second)
    assert_own_answer(ask(sotto.address, "one.test"), "one.test")
    first.go_down()
    for name in names("down", 10):
        assert_own_answer(ask(sotto.address, name), name)
    assert len(second.queries_starting("down")) == 10
    first.come_back()
    with within(2.0):
        for name in names("back", 1000):
            assert_own_answer(ask(sotto.address, name), name)
            if first.queries_starting("back"):
                break
            first.stopping.wait(0.02)
    assert first.queries_starting("back")


def test_failover_is_the_default(dot_server, forward):
    first, second = dot_server(), dot_server()
    assert ask_many(forward(first, second).address, names("default", 100)).right == 100
    assert not second.queries


# fastest


def test_fastest_prefers_the_quick_one(dot_server, forward):
    slow, quick = dot_server(on_query=delayed(0.08)), dot_server(on_query=delayed(0.01))
    sotto = forward(slow, quick, strategy="fastest")
    assert ask_many(sotto.address, names("learn", 100), window=5).right == 100
    before = len(own_queries(slow))
    assert ask_many(sotto.address, names("fast", 400), window=5).right == 400
    assert len(own_queries(slow)) - before < 80


def test_fastest_notices_that_the_quick_one_has_become_slow(dot_server, forward):
    one, other = dot_server(on_query=delayed(0.005)), dot_server(on_query=delayed(0.03))
    sotto = forward(one, other, strategy="fastest")
    assert ask_many(sotto.address, names("before", 200), window=5).right == 200
    one.on_query = delayed(0.2)
    assert ask_many(sotto.address, names("change", 300), window=5).right == 300
    before = len(own_queries(one))
    assert ask_many(sotto.address, names("after", 300), window=5).right == 300
    assert len(own_queries(one)) - before < 90


# balance


def test_balance_uses_all(dot_server, forward):
    servers = [dot_server(on_query=delayed(0.005)) for _ in range(3)]
    sotto = forward(*servers, strategy="balance")
    assert ask_many(sotto.address, names("balance", 600), window=30).right == 600
    shares = [len(own_queries(server)) for server in servers]
    assert min(shares) > 120, shares


def test_balance_uses_all_for_one_query_at_a_time_too(dot_server, forward):
    servers = [dot_server() for _ in range(2)]
    sotto = forward(*servers, strategy="balance")
    assert ask_many(sotto.address, names("single", 100), window=1).right == 100
    shares = [len(own_queries(server)) for server in servers]
    assert min(shares) > 20, shares


# parallel


def test_parallel_takes_the_first_answer(dot_server, forward):
    slow, quick = dot_server(on_query=delayed(0.5)), dot_server()
    # The warm-up is for one worker: another would ask the slow one only when it is connected too.
    sotto = forward(slow, quick, strategy="parallel", process={"workers": 1})
    assert_own_answer(ask(sotto.address, "warm.test"), "warm.test")
    slow.wait_handshakes(1)
    for name in names("race", 10):
        with within(0.4):
            assert_own_answer(ask(sotto.address, name), name)
    for server in (slow, quick):
        server.wait_for(lambda: len(server.queries_starting("race")) == 10, "both are asked")


@pytest.mark.parametrize("rcode", [wire.SERVFAIL, wire.REFUSED, wire.NOTIMP])
@pytest.mark.parametrize("quick_is_first", [False, True])
def test_a_quick_failure_does_not_beat_a_good_answer(dot_server, forward, rcode, quick_is_first):
    failing, good = dot_server(on_query=answering(rcode=rcode)), dot_server(on_query=delayed(0.2))
    servers = [failing, good] if quick_is_first else [good, failing]
    sotto = forward(*servers, strategy="parallel")
    for name in names("race", 5):
        assert_own_answer(ask(sotto.address, name), name)


def test_parallel_with_a_silent_one_waits_for_nobody(dot_server, forward):
    silent, good = dot_server(on_query=by_name(race=hold)), dot_server()
    sotto = forward(silent, good, strategy="parallel")
    for name in names("race", 20):
        with within(0.3):
            assert_own_answer(ask(sotto.address, name), name)
