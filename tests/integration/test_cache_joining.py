"""Identical questions at once: the upstream is asked once, and everybody has an answer of their own.

Also against poisoning: who makes us ask the same a thousand times is not to have a thousand chances
to answer it (TESTMATRIX C6, and the birthday attacks among the incidents).
"""

import contextlib
import itertools
import time

import dns.flags
import pytest

from lib import dns_wire as wire
from lib.caching import EDE_CACHED_ERROR, errors, let_pass, numbered
from lib.clients import (
    TcpClient,
    UdpClient,
    ask,
    assert_failed,
    assert_own_answer,
    assert_own_raw,
    ident_of,
)
from lib.faulty_dot import answer, by_name, hold
from lib.timing import scaled

WORKERS = pytest.mark.parametrize("workers", [1, 2])
# Longer than any test here takes: no time-out is to be met by chance.
LONG = 12.0
NAME = "same.test"


@pytest.fixture
def holding(dot_server):
    """An upstream that holds the answers to names with same…"""
    return dot_server(on_query=by_name(same=hold))


@pytest.fixture
def udp_clients():
    """Sockets, closed at the end: `udp_clients(sotto, count)`."""
    with contextlib.ExitStack() as stack:
        yield lambda sotto, count: [
            stack.enter_context(UdpClient(sotto.address)) for _ in range(count)
        ]


def held(server, name: str = NAME):
    """The queries for the name that the upstream has."""
    return server.queries_for(name + ".")


def wait_held(server, count: int, name: str = NAME):
    """Exactly so many, once they are there."""
    server.wait_for(lambda: len(held(server, name)) >= count, f"{count} queries for {name}")
    assert len(held(server, name)) == count
    return held(server, name)


def spelled(name: str, number: int) -> str:
    """The name in one of its many letter cases."""
    return "".join(
        letter.upper() if number >> place & 1 else letter for place, letter in enumerate(name)
    )


def wait_joined(sotto, count: int) -> None:
    sotto.wait_count("joined queries", count, 10)


def send_all(sotto, clients, query: bytes) -> None:
    """From all of them; not more at once than a socket's buffer holds."""
    for start in range(0, len(clients), 100):
        for client in clients[start : start + 100]:
            client.send(query)
        sotto.wait_count("UDP queries", min(start + 100, len(clients)))


class Asked:
    """One of the thousand: its own spelling, ID and options."""

    def __init__(self, client, number: int):
        self.client = client
        self.ident = number
        self.name = spelled(NAME, number)
        self.edns = number % 3 > 0
        padding = [(wire.OPTION_PADDING, bytes(10))] if number % 3 == 2 else []
        self.query = wire.query(self.name, ident=number, edns=self.edns, options=padding)

    def judge(self, reply: bytes) -> None:
        assert_own_raw(reply, self.name)
        assert reply[10:12] == (b"\0\1" if self.edns else b"\0\0")


@WORKERS
def test_a_thousand_identical_questions_are_one(holding, forward, udp_clients, workers):
    """C6: from 100 sockets and 20 connections, each with ID, letter case and EDNS of its own."""
    sotto = forward(holding, timeout=LONG, cache={}, process={"workers": workers})
    clients = [Asked(client, number) for number, client in enumerate(udp_clients(sotto, 100) * 8)]
    connections = [TcpClient(sotto.address) for _ in range(20)]
    for start in range(0, 800, 100):
        for asked in clients[start : start + 100]:
            asked.client.send(asked.query)
        sotto.wait_count("UDP queries", start + 100)
    by_tcp = [Asked(client, 800 + number) for number, client in enumerate(connections * 10)]
    for asked in by_tcp:
        asked.client.send(asked.query)
    wait_joined(sotto, 999)

    (query,) = wait_held(holding, 1)
    query.connection.answer(query)
    by_ident = {asked.ident: asked for asked in clients + by_tcp}
    for asked in clients + by_tcp:
        reply = asked.client.receive()
        by_ident.pop(ident_of(reply)).judge(reply)
    for client in connections:
        client.sock.close()
    assert not by_ident and len(held(holding)) == 1
    assert sotto.count("forwarded queries") == 1 and sotto.count("answers kept") == 1


@WORKERS
def test_without_a_cache_they_are_joined_as_well(holding, forward, udp_clients, workers):
    """C6: the chances of who wants to be the first to answer are the same."""
    sotto = forward(holding, timeout=LONG, cache={"size": 0}, process={"workers": workers})
    clients = udp_clients(sotto, 200)
    send_all(sotto, clients, wire.query(NAME))
    wait_joined(sotto, 199)
    (query,) = wait_held(holding, 1)
    query.connection.answer(query)
    for client in clients:
        assert_own_raw(client.receive(), NAME)
    assert len(held(holding)) == 1


def test_what_is_not_kept_is_shared_by_those_who_wait(dot_server, forward, udp_clients):
    """C6: TTL 0 is for one transaction, theirs; who asks later asks anew."""
    server = dot_server(on_query=hold)
    sotto = forward(server, timeout=LONG, cache={})
    clients = udp_clients(sotto, 50)
    send_all(sotto, clients, wire.query(NAME))
    wait_joined(sotto, 49)
    (query,) = wait_held(server, 1)
    query.connection.answer(query, ttl=0)
    for client in clients:
        assert_own_raw(client.receive(), NAME)
    server.on_query = answer
    assert_own_answer(ask(sotto.address, NAME), NAME)
    assert len(held(server)) == 2


def test_the_same_id_from_the_same_port_for_many_names(holding, forward, udp_clients):
    """C6: and each of them asked by somebody else, too, with that very ID."""
    sotto = forward(holding, timeout=LONG, cache={})
    one, other = udp_clients(sotto, 2)
    names = [f"same-{number}.test" for number in range(20)]
    for client in (one, other):
        for name in names:
            client.send(wire.query(name, ident=7))
    wait_joined(sotto, len(names))
    for name in reversed(names):
        (query,) = wait_held(holding, 1, name)
        query.connection.answer(query)
        for client in (one, other):
            reply = client.receive()
            assert_own_raw(reply, name)
            assert ident_of(reply) == 7


@WORKERS
def test_the_same_client_may_ask_again_and_again(holding, forward, udp_clients, workers):
    """As stubs do who are not patient: each of their queries has an answer."""
    sotto = forward(holding, timeout=LONG, cache={}, process={"workers": workers})
    (client,) = udp_clients(sotto, 1)
    for _ in range(50):
        client.send(wire.query(NAME, ident=1))
    wait_joined(sotto, 49)
    (query,) = wait_held(holding, 1)
    query.connection.answer(query)
    for _ in range(50):
        assert_own_raw(client.receive(), NAME)


@WORKERS
def test_other_ways_to_ask_are_other_questions(holding, forward, udp_clients, workers):
    """DO, CD, RD, type and class: whoever wants signatures must not get an answer without."""
    sotto = forward(holding, timeout=LONG, cache={}, process={"workers": workers})
    ways = [
        {"do": do, "flags": rd | cd, "rdtype": rdtype, "rdclass": rdclass}
        for do, rd, cd, rdtype, rdclass in itertools.product(
            (False, True),
            (0, wire.RD),
            (0, wire.CD),
            (wire.TXT, wire.AAAA),
            (wire.IN, wire.CH),
        )
        if rdclass == wire.IN or rdtype == wire.TXT
    ]
    clients = [udp_clients(sotto, 2) for _ in ways]
    for pair, way in zip(clients, ways):
        for client in pair:
            client.send(wire.query(NAME, **way))
    wait_joined(sotto, len(ways))
    wait_held(holding, len(ways))
    asked = [
        {
            "do": bool(query.message.ednsflags & dns.flags.DO),
            "flags": query.flags & (wire.RD | wire.CD),
            "rdtype": query.rdtype,
            "rdclass": query.rdclass,
        }
        for query in held(holding)
    ]
    # One answer a way, told apart by its TTL.
    for query in held(holding):
        way = asked[held(holding).index(query)]
        query.connection.answer(query, ttl=100 + ways.index(way))
    for number, pair in enumerate(clients):
        for client in pair:
            reply = wire.parse(client.receive())
            assert reply.answer[0].ttl == 100 + number, ways[number]


# Failures


@WORKERS
def test_a_failure_is_shared(holding, forward, udp_clients, workers):
    """RFC 9520: a thousand who ask do not become a thousand tries."""
    sotto = forward(holding, timeout=LONG, cache={}, process={"workers": workers})
    clients = udp_clients(sotto, 100)
    send_all(sotto, clients, wire.query(NAME))
    wait_joined(sotto, 99)
    (query,) = wait_held(holding, 1)
    query.connection.answer(query, rcode=wire.SERVFAIL)
    for client in clients:
        assert wire.parse(client.receive()).rcode() == wire.SERVFAIL
    assert errors(ask(sotto.address, NAME)) == [EDE_CACHED_ERROR]
    assert len(held(holding)) == 1


@WORKERS
def test_the_upstream_loses_the_connection_while_a_hundred_wait(
    holding, forward, udp_clients, workers
):
    """T6: one query is sent again, not a hundred, and all are answered."""
    sotto = forward(holding, timeout=LONG, cache={}, process={"workers": workers})
    clients = udp_clients(sotto, 100)
    send_all(sotto, clients, wire.query(NAME))
    wait_joined(sotto, 99)
    (query,) = wait_held(holding, 1)
    holding.on_query = answer
    query.connection.reset()
    for client in clients:
        assert_own_raw(client.receive(), NAME)
    assert len(held(holding)) == 2
    assert sotto.count("retries") == 1 and sotto.count("failed queries") == 0


def test_the_upstream_dies_while_a_hundred_wait(holding, forward, udp_clients):
    """T13: all hear of it at once, with the reason, and no storm follows."""
    sotto = forward(holding, timeout=LONG, cache={})
    clients = udp_clients(sotto, 100)
    send_all(sotto, clients, wire.query(NAME))
    wait_joined(sotto, 99)
    wait_held(holding, 1)
    holding.go_down()
    for client in clients:
        assert_failed(wire.parse(client.receive()), reason="refused")
    assert len(held(holding)) == 1 and sotto.count("upstream queries") <= 3


# Each client's own time


class TestLateJoiners:
    """A question times out of which some have only just asked."""

    TIMEOUT = 1.5
    LATER = 0.7
    ASK = wire.query(NAME)

    @pytest.fixture
    def asked(self, holding, forward, udp_clients):
        """One who asked, 20 who asked later, and when they did."""
        sotto = forward(holding, timeout=self.TIMEOUT, cache={}, process={"workers": self.workers})
        first, *late = udp_clients(sotto, 21)
        first.send(self.ASK)
        holding.wait_queries(1)
        time.sleep(self.LATER)
        asked_at = time.monotonic()
        for client in late:
            client.send(self.ASK)
        wait_joined(sotto, 20)
        return sotto, first, late, asked_at

    @pytest.fixture(autouse=True, params=[1, 2])
    def several_workers(self, request):
        self.workers = request.param

    def test_they_ask_again_together(self, asked, holding):
        """Once for all of them, and if that is answered they have their answer."""
        sotto, first, late, _ = asked
        assert_failed(wire.parse(first.receive()), reason="in time")
        _, query = wait_held(holding, 2)
        query.connection.answer(query)
        for client in late:
            assert_own_raw(client.receive(), NAME)
        assert len(held(holding)) == 2 and sotto.count("forwarded queries") == 2

    def test_nobody_waits_longer_than_the_timeout(self, asked, holding):
        """Nor less: the first who asked does not decide for those who came later."""
        sotto, first, late, asked_at = asked
        assert_failed(wire.parse(first.receive()), reason="in time")
        assert time.monotonic() - asked_at < self.TIMEOUT
        for client in late:
            assert_failed(wire.parse(client.receive()), reason="in time")
            assert time.monotonic() - asked_at >= self.TIMEOUT - 0.1
        assert time.monotonic() - asked_at < self.TIMEOUT + scaled(0.5)
        assert len(held(holding)) == 2 and sotto.count("forwarded queries") == 2
        assert sotto.count("failed queries") == 21


# After the end of a TTL


@WORKERS
def test_the_end_of_a_ttl_is_no_stampede(dot_server, forward, udp_clients, workers):
    """Those who all ask at that moment are one upstream query."""
    server = dot_server(on_query=numbered(ttl=1))
    cache = {"prefetch": False, "stale-after": "60s"}
    sotto = forward(server, timeout=LONG, cache=cache, process={"workers": workers})
    ask(sotto.address, NAME)
    server.on_query = hold
    let_pass(1)
    clients = udp_clients(sotto, 200)
    send_all(sotto, clients, wire.query(NAME))
    wait_joined(sotto, 199)
    _, query = wait_held(server, 2)
    query.connection.answer(query)
    for client in clients:
        assert_own_raw(client.receive(), NAME)
    assert len(held(server)) == 2


@WORKERS
def test_questions_that_come_and_go_all_the_time(forward, dot_server, udp_clients, workers):
    """Answers without a TTL, asked for by many without a pause: nothing is lost on the way."""
    server = dot_server(on_query=by_name(same=lambda conn, query: conn.answer(query, ttl=0)))
    sotto = forward(server, cache={}, process={"workers": workers})
    clients = udp_clients(sotto, 20)
    for number in range(50):
        name = f"same-{number % 3}.test"
        for client in clients:
            client.send(wire.query(name, ident=number))
        for client in clients:
            reply = client.receive()
            assert_own_raw(reply, name)
            assert ident_of(reply) == number
    counters = sotto.counters()
    assert counters["queries_forwarded"] + counters["queries_joined"] >= 1000
