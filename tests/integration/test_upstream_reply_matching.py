"""A reply counts only if it answers the question that was asked on that connection."""

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
)
from lib.faulty_dot import by_name, hold, reply_to
from lib.sotto_process import HEARD_BY
from lib.timing import within

FORGED = [wire.record(wire.QUESTION_POINTER, wire.A, bytes([192, 0, 2, 66]))]
REPLY_FLAGS = wire.QR | wire.RD | wire.RA
OPCODE_NOTIFY = 4 << 11


def other_question(query, qname=None, rdtype=None, rdclass=None):
    question = wire.question(qname or query.qname, rdtype or query.rdtype, rdclass or query.rdclass)
    return reply_to(query, questions=[question], answer=FORGED)


LIES = {
    # R1
    "wrong-id": lambda query: reply_to(query, ident=query.ident ^ 1, answer=FORGED),
    # R2
    "other-name": lambda query: other_question(query, qname=wire.name_wire("evil.test")),
    "other-type": lambda query: other_question(query, rdtype=wire.AAAA),
    "other-class": lambda query: other_question(query, rdclass=wire.CH),
    "other-case": lambda query: other_question(query, qname=query.qname.swapcase()),
    "no-question": lambda query: reply_to(query, questions=[], answer=[]),
    "two-questions": lambda query: reply_to(query, questions=[query.question] * 2, answer=FORGED),
    # R3
    "qr-0": lambda query: reply_to(query, flags=wire.RD, answer=FORGED),
    "other-opcode": lambda query: reply_to(query, flags=REPLY_FLAGS | OPCODE_NOTIFY, answer=FORGED),
}
each_lie = pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())


@each_lie
@pytest.mark.parametrize("gap", [0, 0.05], ids=["at-once", "later"])
def test_the_truth_after_a_lie_is_taken(dot_server, forward, lie, gap):
    """R1 R2 R3"""

    def lie_then_answer(conn, query):
        if len(conn.server.queries_for(query.name)) > 1:
            conn.answer(query)
        elif gap:
            conn.send_message(lie(query))
            conn.later(gap, conn.answer, query)
        else:
            conn.send_together([lie(query), reply_to(query)])

    server = dot_server(on_query=by_name(lied=lie_then_answer))
    sotto = forward(server)
    with Bystanders(sotto.address):
        for number in range(5):
            name = f"Lied-{number}.test"
            assert_own_answer(ask(sotto.address, name), name)
    assert sotto.count("false replies") >= 5


@each_lie
def test_a_lie_alone_is_a_failure_with_a_reason(dot_server, forward, lie):
    """R1 R2 R3"""
    server = dot_server(on_query=by_name(lied=lambda conn, query: conn.send_message(lie(query))))
    sotto = forward(server)
    with Bystanders(sotto.address), within(HEARD_BY):
        reply = ask(sotto.address, "Lied.test")
    assert_failed(reply)
    assert len(server.queries_for("lied.test.")) <= 3
    assert sotto.count("false replies") >= 1


@each_lie
def test_a_lie_alone_makes_the_next_upstream_answer(dot_server, forward, lie):
    """R1 R2 R3"""
    liar = dot_server(on_query=by_name(lied=lambda conn, query: conn.send_message(lie(query))))
    honest = dot_server()
    sotto = forward(liar, honest)
    with Bystanders(sotto.address), within(HEARD_BY):
        assert_own_answer(ask(sotto.address, "Lied.test"), "Lied.test")
    assert len(honest.queries_for("lied.test.")) == 1


def test_the_id_of_a_query_on_another_connection_is_no_match(dot_server, forward):
    """R1: an upstream that knows what was asked of its neighbour cannot answer for it."""
    slow = dot_server(on_query=by_name(stolen=hold))

    def steal(conn, query):
        (asked_of_other,) = slow.queries_for("stolen.test.")
        conn.send_message(reply_to(asked_of_other, answer=FORGED))

    thief = dot_server(on_query=by_name(stolen=steal))
    sotto = forward(slow, thief)
    with UdpClient(sotto.address) as client:
        client.send(wire.query("stolen.test"))
        thief.wait_for(lambda: thief.queries_for("stolen.test."), "the thief is asked")
        (query,) = slow.queries_for("stolen.test.")
        query.connection.answer(query)
        assert_own_raw(client.receive(), "stolen.test")
    sotto.wait_count("false replies")


def test_duplicates_of_answered_replies_harm_nobody(dot_server, forward):
    """R3"""

    def answer_twice(conn, query):
        conn.send_together([reply_to(query)] * 2)

    server = dot_server(on_query=answer_twice)
    sotto = forward(server)
    tally = ask_many(sotto.address, (f"twice-{n}.test" for n in range(1000)), window=50)
    assert (tally.right, tally.failed, tally.wrong) == (1000, 0, 0)
    assert sotto.count("unasked replies") + sotto.count("late replies") >= 900


def test_late_replies_are_given_to_nobody(dot_server, forward):
    """R3: the ID of a query that timed out, and of which the answer comes later."""
    server = dot_server(on_query=by_name(late=hold, victim=hold))
    sotto = forward(server)
    assert ask_many(sotto.address, (f"late-{n}.test" for n in range(200)), window=200).failed == 200
    late = server.queries_starting("late")
    victims = [f"victim-{n}.test" for n in range(200)]
    with UdpClient(sotto.address) as client, Bystanders(sotto.address):
        client.send_names(victims)
        server.wait_for(
            lambda: len(server.queries_starting("victim")) >= len(victims), "the victims are asked"
        )
        for query in late + server.queries_starting("victim"):
            query.connection.answer_if_open(query)
        client.receive_own(victims)


def test_an_extra_answer_with_the_next_id_reaches_nobody(dot_server, forward):
    """R14"""

    def answer_and_more(conn, query):
        conn.send_together(
            [
                reply_to(query, ident=(query.ident + 1) & 0xFFFF, answer=FORGED),
                reply_to(query),
                reply_to(query, ident=(query.ident + 1) & 0xFFFF, answer=FORGED),
            ]
        )

    server = dot_server(on_query=answer_and_more)
    sotto = forward(server)
    tally = ask_many(sotto.address, (f"extra-{n}.test" for n in range(1000)), window=20)
    assert (tally.failed, tally.wrong, tally.lost) == (0, 0, 0)
    assert sotto.count("unasked replies") >= 1000


def flood(conn, query):
    for number in range(200):
        ident = (query.ident + 1 + number) & 0xFFFF
        conn.send_message(reply_to(query, ident=ident, answer=FORGED))


def test_a_stream_of_unasked_replies_costs_nobody_an_answer(dot_server, forward):
    """R14: whoever was on the connection is answered by the next upstream."""
    server, other = dot_server(on_query=by_name(flood=flood)), dot_server()
    sotto = forward(server, other)
    with Bystanders(sotto.address), within(HEARD_BY):
        for number in range(3):
            name = f"flood{number}.test"
            assert_own_answer(ask(sotto.address, name), name)
    assert sotto.count("invalid connections") >= 1


def test_a_stream_of_unasked_replies_ends_the_connection(dot_server, forward):
    """R14"""
    server = dot_server(on_query=by_name(flood=flood))
    sotto = forward(server)
    name = "first.test"
    assert_own_answer(ask(sotto.address, name), name)
    # Nobody else asks meanwhile: there is only this upstream, and each of the three connections that
    # it spoils may take another's query with it.
    with within(HEARD_BY):
        assert_failed(ask(sotto.address, "flood.test"))
    server.wait_any_closed()
    assert sotto.count("invalid connections") >= 1
    assert len(server.queries_for("flood.test.")) <= 3
    name = "after.test"
    assert_own_answer(ask(sotto.address, name), name)
