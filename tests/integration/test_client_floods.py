"""Many queries at once: each its own answer, bounds that hold, and others who do not notice."""

import socket
import threading

import dns.exception
import dns.rcode
import pytest

from lib import dns_wire as wire
from lib.clients import (
    Bystanders,
    UdpClient,
    ask,
    ask_many,
    assert_failed,
    assert_own_answer,
    assert_own_raw,
    bound_to,
    ident_of,
)
from lib.faulty_dot import answer, by_name, hold
from lib.timing import wait_until


# Of 100 in flight: the last eighth is for clients that have few.
ONE_CLIENTS = 88
# Not the ID of a query of the flood.
LAST = 0x7777


def test_a_thousand_identical_queries_at_once(dot_server, forward):
    """C6: each client has its own answer."""
    sotto = forward(dot_server())
    with Bystanders(sotto.address, within=2.0):
        tally = ask_many(sotto.address, ["same.test"] * 1000, window=1000)
    assert (tally.right, tally.wrong, tally.lost) == (1000, 0, 0)


def test_identical_queries_from_many_clients(dot_server, forward):
    """C6: with the same ID too; nobody gets somebody else's."""
    server = dot_server(on_query=hold)
    sotto = forward(server)
    clients = [UdpClient(sotto.address) for _ in range(100)]
    for client in clients:
        client.send(wire.query("same.test", ident=9))
    wait_until(lambda: sotto.count("UDP queries") == 100, 5, "all have asked")
    # One upstream query or a hundred: those that are there now, and those that still come.
    server.wait_queries(1)
    server.on_query = answer
    for query in list(server.queries):
        query.connection.answer(query)
    for client in clients:
        with client:
            reply = client.receive()
            assert ident_of(reply) == 9
            assert_own_raw(reply, "same.test")
    assert sotto.count("failed queries") == 0


def test_the_same_id_from_the_same_port_for_two_names(dot_server, forward):
    """C6"""
    server = dot_server(on_query=by_name(answer, first=hold))
    sotto = forward(server)
    with UdpClient(sotto.address) as client:
        client.send(wire.query("first.test", ident=5))
        client.send(wire.query("second.test", ident=5))
        assert_own_raw(client.receive(), "second.test")
        (first,) = server.wait_for(lambda: server.queries_for("first.test."), "the first")
        first.connection.answer(first)
        assert_own_raw(client.receive(), "first.test")


def test_a_flood_of_names_that_nobody_answers(dot_server, forward):
    """C7: random names whose servers are dead; those who ask for other names do not wait."""
    server = dot_server(on_query=by_name(answer, flood=hold))
    sotto = forward(server, log={"level": "info"})
    with UdpClient(sotto.address) as flooder, Bystanders(sotto.address) as bystanders:
        for number in range(3000):
            flooder.send(wire.query(f"flood-{number}.test", ident=number))
        server.wait_for(lambda: len(server.queries_starting("flood")) >= 3000, "all", 20)
        asked = bystanders.asked
        wait_until(lambda: bystanders.asked > asked + 20, 10, "bystanders are served")
    wait_until(lambda: sotto.count("failed queries") >= 3000, 10, "the flood is over")
    assert_own_answer(ask(sotto.address, "after.test"), "after.test")


@pytest.mark.parametrize("name", ["flood.test", "flood.localhost"])
def test_a_flood_of_one_name(forward, fast_dot, name):
    """C7: as fast as it is answered; at least 95 of 100 others are answered, asking as stubs do."""
    sotto = forward(fast_dot, log={"level": "info"})
    with UdpClient(sotto.address) as flooder:
        flooder.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        query = wire.query(name)
        stubs = Stubs(sotto.address, 40)
        while stubs.is_alive():
            for _ in range(300):
                flooder.send(query)
            # Always a few hundred waiting; more would only be thrown away by the kernel.
            receive_some(flooder.sock, 200)
        assert stubs.answered >= 0.95 * 40
        work_off(flooder)
        tally = ask_many(sotto.address, (f"after-{n}.test" for n in range(100)))
    assert (tally.right, tally.wrong) == (100, 0)


class Stubs(threading.Thread):
    """Clients that ask again when a datagram was lost, as every stub resolver does."""

    def __init__(self, server, count: int):
        super().__init__(daemon=True)
        self.server = server
        self.count = count
        self.answered = 0
        self.start()

    def run(self) -> None:
        for number in range(self.count):
            self.answered += self.is_answered(f"stub-{number}.test")

    def is_answered(self, name: str) -> bool:
        for _ in range(3):
            try:
                assert_own_answer(ask(self.server, name, timeout=0.5), name)
                return True
            except dns.exception.Timeout:
                pass
        return False


def work_off(flooder) -> None:
    """Until nothing of its flood is in the kernel any more, which would take the place of others."""
    last = wire.query("last.test", ident=LAST)
    for _ in range(20):
        flooder.send(last)
        try:
            while ident_of(flooder.receive(0.5)) != LAST:
                pass
            return
        except TimeoutError:
            pass
    raise AssertionError("the flood does not end")


def receive_some(sock, count: int) -> None:
    sock.settimeout(0.05)
    try:
        for _ in range(count):
            sock.recv(4096)
    except TimeoutError:
        pass


def test_more_queries_in_flight_than_allowed_are_told_so(dot_server, forward):
    """C7: bounded, counted, said, and over as soon as there is room."""
    server = dot_server(on_query=by_name(answer, flood=hold))
    one_worker = {"workers": 1}  # the limit is that of each
    sotto = forward(server, process=one_worker, timeout=5.0, **{"max-in-flight": 100})
    assert_own_answer(ask(sotto.address, "warm-up.test"), "warm-up.test")
    with UdpClient(sotto.address) as flooder:
        for number in range(ONE_CLIENTS):
            flooder.send(wire.query(f"flood-{number}.test", ident=number))
        server.wait_for(lambda: len(server.queries_starting("flood")) == ONE_CLIENTS, "the flood")
        for tcp in (False, True):
            reply = ask(sotto.address, "too-many.test", tcp=tcp)
            assert_failed(reply, dns.rcode.SERVFAIL, "too many queries")
        assert sotto.count("overload") == 2
        for query in server.queries_starting("flood"):
            query.connection.answer(query)
        flooder.receive_own([f"flood-{number}.test" for number in range(ONE_CLIENTS)])
    assert_own_answer(ask(sotto.address, "room-again.test"), "room-again.test")


def test_others_have_their_share_of_what_one_client_fills(dot_server, forward):
    """C7: it is the one that has most that is refused, and not for what is at hand."""
    server = dot_server(on_query=by_name(answer, flood=hold))
    one_worker = {"workers": 1}
    config = {"max-in-flight": 100, "cache": {"size": "1MiB"}}
    sotto = forward(server, process=one_worker, timeout=5.0, **config)
    assert_own_answer(ask(sotto.address, "known.test"), "known.test")
    with UdpClient(sotto.address) as flooder:
        for number in range(1000):
            flooder.send(wire.query(f"flood-{number}.test", ident=number))
        sotto.wait_count("overload", 1000 - ONE_CLIENTS)
        assert len(server.queries_starting("flood")) == ONE_CLIENTS
        for number in range(20):
            name = f"other-{number}.test"
            with UdpClient(sotto.address, bound_to("127.0.0.2")) as other:
                assert_own_raw(other.exchange(wire.query(name)), name)
        assert_own_answer(ask(sotto.address, "known.test"), "known.test")
        assert_failed(ask(sotto.address, "new.test"), dns.rcode.SERVFAIL, "too many queries")


@pytest.mark.parametrize("rdtype", [wire.ANY, wire.TXT])
@pytest.mark.parametrize("edns", [True, False])
def test_little_is_to_be_gained_by_a_forged_source(dot_server, forward, rdtype, edns):
    """C8: what a large answer becomes for a client that gave no proof of its address."""

    def large(conn, query):
        text = wire.record(wire.QUESTION_POINTER, wire.TXT, b"\xff" + b"x" * 255)
        conn.answer(query, answer=[text] * 100)

    sotto = forward(dot_server(on_query=large))
    query = wire.query("large.test", rdtype, edns=edns, size=4096)
    with UdpClient(sotto.address) as client:
        reply = client.exchange(query)
    assert reply[2] & 2 and len(reply) <= len(query)
    assert sotto.count("truncated replies") == 1
