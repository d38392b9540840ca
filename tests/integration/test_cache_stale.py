"""Answers past their TTL, for when no upstream answers (RFC 8767)."""

import threading
import time

import dns.rcode
import pytest

from lib import dns_wire as wire
from lib.caching import (
    EDE_STALE,
    EDE_STALE_NXDOMAIN,
    STALE_AFTER,
    answer_numbered,
    assert_stale,
    errors,
    let_pass,
    negative,
    number_of,
    numbered,
    ttls,
)
from lib.clients import UdpClient, ask, assert_failed
from lib.faulty_dot import answering, by_name, hold, reply_to
from lib.timing import scaled, wait_until, within

NAME = "old.test"
# Soon enough for "without waiting for an upstream that does not answer".
AT_ONCE = 0.4

no_name = answering(**negative(wire.NXDOMAIN, minimum=1))
no_type = answering(**negative(wire.NOERROR, minimum=1))
# Those who test whether the upstream lives are answered: it is only slow with these names.
ordinary = by_name(numbered(ttl=1), none=no_name, empty=no_type)
slow = by_name(old=hold, none=hold, empty=hold)


@pytest.fixture
def server(dot_server):
    return dot_server(on_query=ordinary)


@pytest.fixture
def with_old(server, forward):
    """Start the program, with a cache that has these names, past their TTL."""

    def start(*names, stale_after="1800ms", stale_max="1d", timeout=4.0, **options):
        cache = {"stale-after": stale_after, "stale-max": stale_max, "prefetch": False}
        sotto = forward(server, cache=cache, timeout=timeout, **options)
        for name in names or [NAME]:
            ask(sotto.address, name)
        let_pass(1)
        return sotto

    return start


def assert_first(reply) -> None:
    """It is the old answer, and says so."""
    assert_stale(reply)
    assert number_of(reply) == 1


def is_fresh(sotto, name: str = NAME, number: int = 2) -> bool:
    reply = ask(sotto.address, name)
    return not errors(reply) and number_of(reply) >= number


# When


def test_a_client_waits_no_longer_than_stale_after(server, with_old):
    """1.8 s; with a short TTL and the reason, whatever kind of answer it is."""
    codes = {"old.test": EDE_STALE, "none.test": EDE_STALE_NXDOMAIN, "empty.test": EDE_STALE}
    sotto = with_old(*codes)
    server.on_query = slow
    with UdpClient(sotto.address) as client:
        asked_at = time.monotonic()
        for ident, name in enumerate(codes):
            client.send(wire.query(name, ident=ident))
        for _ in codes:
            reply = wire.parse(client.receive())
            took = time.monotonic() - asked_at
            assert STALE_AFTER - 0.05 <= took <= STALE_AFTER + scaled(AT_ONCE)
            assert_stale(reply, list(codes.values())[reply.id])
            assert reply.rcode() == (wire.NXDOMAIN if reply.id == 1 else wire.NOERROR)
    # The others need not find out by themselves.
    for name, code in codes.items():
        for tcp in (False, True):
            with within(AT_ONCE):
                assert_stale(ask(sotto.address, name, tcp=tcp), code)
    assert sotto.count("stale answers") == 9 and sotto.count("failed queries") == 0
    assert [len(server.queries_for(f"{name}.")) for name in codes] == [2, 2, 2]


def test_everyone_who_waits_gets_it_in_time(server, with_old):
    """Each by their own patience, which began when they asked."""
    sotto = with_old(stale_after="600ms")
    server.on_query = slow
    with UdpClient(sotto.address) as early, UdpClient(sotto.address) as late:
        early.send(wire.query(NAME))
        server.wait_queries(2)
        time.sleep(0.3)
        asked_at = time.monotonic()
        late.send(wire.query(NAME, edns=False))
        assert_first(wire.parse(early.receive()))
        reply = wire.parse(late.receive())
        assert 0.55 <= time.monotonic() - asked_at <= 0.6 + scaled(AT_ONCE)
    assert reply.edns == -1 and number_of(reply) == 1 and ttls(reply) == [30]
    assert len(server.queries_for(NAME + ".")) == 2


def test_at_once_if_so_configured(server, with_old):
    """stale-after 0s: the client gets what there is, and the next one what is fresh."""
    sotto = with_old(stale_after="0s")
    server.on_query = slow
    for _ in range(3):
        with within(AT_ONCE):
            assert_first(ask(sotto.address, NAME))
    server.wait_queries(2)
    answer_numbered(server.queries[1], ttl=300)
    wait_until(lambda: is_fresh(sotto), 2, "it is fresh")
    assert len(server.queries) == 2


def test_an_answer_in_time_is_better(server, with_old):
    """As long as the upstream answers, nobody sees an old one."""
    sotto = with_old(stale_after="2s")
    server.on_query = lambda conn, query: conn.later(0.3, answer_numbered, query)
    assert number_of(ask(sotto.address, NAME)) == 2
    assert sotto.count("stale answers") == 0


# Ways not to answer


RCODES = [wire.SERVFAIL, wire.REFUSED, wire.NOTIMP, wire.FORMERR, 11]


def test_failure_replies_are_none_for_clients(server, with_old):
    """They need not be waited for, and never take the answer's place."""
    names = {f"rcode-{rcode}.test": answering(rcode=rcode) for rcode in RCODES}
    names["tc.test"] = answering(flags=wire.QR | wire.RA | wire.TC)
    sotto = with_old(*names, stale_after="60s")
    server.on_query = lambda conn, query: names[query.name.rstrip(".")](conn, query)
    for name in [*names, *names]:
        with within(AT_ONCE):
            assert_first(ask(sotto.address, name))
    counters = sotto.counters()
    assert (counters["cache_stale"], counters["queries_failed"]) == (2 * len(names), 0)


def refuse(server) -> None:
    server.go_down()


def fail(server) -> None:
    server.on_query = answering(rcode=wire.SERVFAIL)


def reset(server) -> None:
    server.on_query = lambda conn, query: conn.reset()


@pytest.mark.parametrize("cause", [refuse, reset])
def test_connections_that_fail_need_not_be_waited_for(server, with_old, cause):
    sotto = with_old(stale_after="60s")
    cause(server)
    for _ in range(4):
        with within(2 * AT_ONCE):
            assert_first(ask(sotto.address, NAME))
    assert sotto.count("stale answers") == 4 and sotto.count("failed queries") == 0


def test_replies_that_are_none_need_not_be_waited_for_longer(server, with_old):
    """Those to another question, and those that are malformed."""
    other = wire.question(wire.name_wire("evil.test"))
    sotto = with_old("lie.test", "garble.test", stale_after="500ms")
    server.on_query = by_name(
        lie=lambda conn, query: conn.send_message(reply_to(query, questions=[other])),
        garble=lambda conn, query: conn.send_message(reply_to(query)[:-20]),
    )
    for seconds in (0.5 + AT_ONCE, AT_ONCE):
        for name in ("lie.test", "garble.test"):
            with within(seconds):
                assert_first(ask(sotto.address, name))


def test_names_that_were_never_answered_fail_as_ever(server, with_old):
    sotto = with_old()
    server.on_query = answering(rcode=wire.SERVFAIL)
    assert_first(ask(sotto.address, NAME))
    assert ask(sotto.address, "new.test").rcode() == wire.SERVFAIL
    assert ask(sotto.address, NAME, "AAAA").rcode() == wire.SERVFAIL


def test_a_real_answer_takes_the_place_of_an_old_one(server, with_old):
    """Also if it says that there is nothing any more."""
    sotto = with_old()
    server.on_query = no_name
    reply = ask(sotto.address, NAME)
    assert reply.rcode() == wire.NXDOMAIN and not errors(reply)
    server.go_down()
    let_pass(1)
    assert_stale(ask(sotto.address, NAME), EDE_STALE_NXDOMAIN)


def test_an_answer_that_is_not_kept_ends_the_old_one(server, with_old):
    """Who was told something else must not be told the old thing again."""
    sotto = with_old()
    server.on_query = numbered(ttl=0)
    assert number_of(ask(sotto.address, NAME)) == 2
    server.go_down()
    assert_failed(ask(sotto.address, NAME))


# How it becomes fresh again


def test_an_answer_that_comes_too_late_is_for_the_next(server, with_old):
    """It is kept though nobody waits for it any more."""
    sotto = with_old(stale_after="300ms")
    server.on_query = slow
    assert_first(ask(sotto.address, NAME))
    server.wait_queries(2)
    answer_numbered(server.queries[1], ttl=300)
    wait_until(lambda: is_fresh(sotto), 2, "it is fresh")
    reply = ask(sotto.address, NAME)
    assert number_of(reply) == 2 and 290 < ttls(reply)[0] <= 300
    assert len(server.queries_for(NAME + ".")) == 2 and sotto.count("late replies") == 0


def thaw(server) -> None:
    """An upstream that was stopped goes on where it was."""
    server.on_query = ordinary
    for query in list(server.queries)[1:]:
        answer_numbered(query, ttl=1)


def come_back(server) -> None:
    server.on_query = ordinary
    server.come_back()


@pytest.mark.parametrize("back", [thaw, come_back])
def test_fresh_again_soon_after_the_upstream_is_back(server, with_old, back):
    """T10: within 2 s, however long it was away."""
    sotto = with_old(stale_after="300ms")
    if back is come_back:
        server.go_down()
    server.on_query = hold
    with within(0.3 + AT_ONCE):
        assert_first(ask(sotto.address, NAME))
    # Long enough that it is asked more seldom.
    away_until = time.monotonic() + 1.2
    while time.monotonic() < away_until:
        with within(AT_ONCE):
            assert_first(ask(sotto.address, NAME))
        time.sleep(0.05)
    back(server)
    wait_until(lambda: is_fresh(sotto), 2, "it is fresh")


# For how long


def test_the_end_of_an_old_answer(server, with_old):
    """stale-max: then there is none, but a reason. Its end is not put off by its being given."""
    sotto = with_old(stale_max="1s")
    server.go_down()
    began = time.monotonic()
    seen_at = []

    def ended():
        reply = ask(sotto.address, NAME)
        if reply.rcode():
            return reply
        assert_first(reply)
        seen_at.append(time.monotonic())
        return None

    reply = wait_until(ended, 4, "it ends")
    assert_failed(reply, dns.rcode.SERVFAIL, "refused")
    assert seen_at[-1] - began <= 1 + scaled(AT_ONCE)
    assert len(seen_at) >= 5


def test_no_old_answers_if_so_configured(server, with_old):
    sotto = with_old(stale_max="0s")
    server.go_down()
    assert_failed(ask(sotto.address, NAME), dns.rcode.SERVFAIL, "refused")
    server.come_back()
    wait_until(lambda: not ask(sotto.address, NAME).rcode(), 3, "it is answered")
    assert sotto.count("stale answers") == 0


# No storm


def test_many_who_ask_are_few_questions_while_it_is_frozen(server, with_old):
    """T10: the upstream is tried about once a second, however many ask; all are answered."""
    sotto = with_old(stale_after="300ms", timeout=1.0)
    server.on_query = hold
    count = ask_all_the_time(sotto, 2.5)
    counters = sotto.counters()
    assert counters["cache_stale"] == count >= 50 and counters["queries_failed"] == 0
    # One before; then each takes a second, and up to a second's rest.
    assert 3 <= counters["queries_forwarded"] <= 1 + 2.5 + scaled(1)
    assert len(server.queries_for(NAME + ".")) <= 1 + 3 * (counters["queries_forwarded"] - 1)


@pytest.mark.parametrize("cause", [refuse, fail])
def test_many_who_ask_are_few_questions_while_it_fails(server, with_old, cause):
    """T10: each try fails at once; there is a pause between them."""
    sotto = with_old()
    cause(server)
    count = ask_all_the_time(sotto, 2.5)
    counters = sotto.counters()
    assert counters["cache_stale"] == count >= 50 and counters["queries_failed"] == 0
    assert 3 <= counters["queries_forwarded"] <= 1 + 2.5 + scaled(1)


def ask_all_the_time(sotto, seconds: float) -> int:
    """Ten clients, each again as soon as answered. Returns how often they asked."""
    until = time.monotonic() + seconds
    counts, problems = [], []

    def work():
        count = 0
        try:
            while time.monotonic() < until:
                assert_first(ask(sotto.address, NAME, tcp=count % 5 == 4))
                count += 1
                time.sleep(0.01)
        except BaseException as problem:
            problems.append(problem)
        counts.append(count)

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems[0]
    return sum(counts)
