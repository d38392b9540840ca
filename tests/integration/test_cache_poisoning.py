"""Replies that lie put nothing into the cache but, at most, an answer to the question itself.

After each of them the name that is to be forged is asked for: the upstream must be asked, and its
honest answer given. Among the causes: MaginotDNS, ResolverFuzz, birthday attacks (TESTMATRIX R).
"""

import pytest

from lib import dns_wire as wire
from lib.caching import address_record, exchange, negative, number_of, numbered
from lib.clients import UdpClient, ask, assert_own_answer, assert_own_raw
from lib.faulty_dot import answer, answering, by_name, hold, reply_to

VICTIM = "victim.test"
WWW = "www.victim.test"
VICTIM_WIRE, WWW_WIRE = wire.name_wire(VICTIM), wire.name_wire(WWW)
FORGED = bytes([192, 0, 2, 66])
REPLY_FLAGS = wire.QR | wire.RD | wire.RA
POINTER = wire.QUESTION_POINTER


# Of a class that nobody asked for.
CHAOS = wire.record(VICTIM_WIRE, wire.TXT, b"\1x", 86400, wire.CH)


def forged(owner: bytes = VICTIM_WIRE) -> bytes:
    return wire.record(owner, wire.A, FORGED, 86400)


def to_the_victim(query, **changes) -> bytes:
    """An answer to what was not asked."""
    question = wire.question(VICTIM_WIRE, query.rdtype)
    return reply_to(query, questions=[question], answer=[forged(POINTER)], **changes)


def assert_not_learnt(sotto, server, *names) -> None:
    """Everybody is told the truth, which the upstream was asked for."""
    for name in names or (VICTIM, WWW):
        asked = len(server.queries_for(name + "."))
        for tcp in (False, True):
            assert_own_answer(ask(sotto.address, name, tcp=tcp), name)
        assert len(server.queries_for(name + ".")) == asked + 1, f"{name} was known already"
        assert_own_answer(ask(sotto.address, name, "AAAA"), name, "AAAA")


# Replies that are none to what was asked


LIES = {
    # R1
    "wrong-id": lambda query: reply_to(query, ident=query.ident ^ 1, answer=[forged(POINTER)]),
    # R2
    "other-name": to_the_victim,
    "other-type": lambda query: reply_to(
        query, questions=[wire.question(query.qname, wire.AAAA)], answer=[forged(POINTER)]
    ),
    "other-class": lambda query: reply_to(
        query, questions=[wire.question(query.qname, wire.A, wire.CH)], answer=[forged(POINTER)]
    ),
    "other-case": lambda query: reply_to(
        query,
        questions=[wire.question(query.qname.swapcase(), query.rdtype)],
        answer=[forged(POINTER)],
    ),
    "no-question": lambda query: reply_to(query, questions=[], answer=[forged(query.qname)]),
    "two-questions": lambda query: reply_to(
        query, questions=[query.question, wire.question(VICTIM_WIRE)], answer=[forged(POINTER)]
    ),
    # R3
    "qr-0": lambda query: reply_to(query, flags=wire.RD, answer=[forged(POINTER)]),
    "other-opcode": lambda query: reply_to(
        query, flags=REPLY_FLAGS | 4 << 11, answer=[forged(POINTER)]
    ),
    # R5
    "two-opts": lambda query: reply_to(
        query, answer=[forged(POINTER)], additional=[wire.opt_record()], edns=True
    ),
    "opt-in-the-answer": lambda query: reply_to(
        query, answer=[forged(POINTER), wire.opt_record()], edns=False
    ),
    "more-counted-than-there-is": lambda query: reply_to(
        query, answer=[forged(POINTER)], counts=(1, 2, 0, 1)
    ),
    "trailing-octets": lambda query: reply_to(query, answer=[forged(POINTER)]) + forged(),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
@pytest.mark.parametrize("name", ["Lied.test", "LIED.test"])
def test_of_a_lie_before_the_truth_nothing_is_kept(dot_server, forward, lie, name):
    """R1 R2 R3 R5"""

    def lie_then_answer(conn, query):
        if len(conn.server.queries_for(query.name)) > 1:
            conn.answer(query)
        else:
            conn.send_together([lie(query), reply_to(query)])

    server = dot_server(on_query=by_name(lied=lie_then_answer))
    sotto = forward(server, cache={})
    for tcp in (False, True, False):
        assert_own_answer(ask(sotto.address, name, tcp=tcp), name)
    assert_own_answer(ask(sotto.address, name, "AAAA"), name, "AAAA")
    assert_not_learnt(sotto, server)
    assert sotto.count("false replies") >= 1


def test_answers_ahead_of_the_question_are_not_kept(dot_server, forward):
    """R14: with the IDs that are likely to be the next, for the name that will be asked."""

    def answer_ahead(conn, query):
        ahead = [to_the_victim(query, ident=(query.ident + n) & 0xFFFF) for n in range(1, 4)]
        conn.send_together([reply_to(query), *ahead])

    server = dot_server(on_query=by_name(ahead=answer_ahead))
    sotto = forward(server, cache={})
    for number in range(5):
        assert_own_answer(ask(sotto.address, f"ahead-{number}.test"), f"ahead-{number}.test")
    assert_not_learnt(sotto, server)
    assert sotto.count("unasked replies") >= 3


def test_a_second_answer_does_not_replace_the_first(dot_server, forward):
    """R3: a duplicate that says something else."""

    def answer_twice(conn, query):
        conn.send_together([reply_to(query), reply_to(query, answer=[forged(POINTER)])])

    server = dot_server(on_query=by_name(twice=answer_twice))
    sotto = forward(server, cache={})
    for _ in range(3):
        assert_own_answer(ask(sotto.address, "twice.test"), "twice.test")
    assert len(server.queries_for("twice.test.")) == 1


def test_the_answer_to_a_question_that_timed_out_is_kept_for_no_other(dot_server, forward):
    """R3: nor for itself, when it was given up; its ID may be another's by now."""
    server = dot_server(on_query=by_name(late=hold))
    sotto = forward(server, cache={}, timeout=0.5)
    assert ask(sotto.address, "late.test").rcode() == wire.SERVFAIL
    (late,) = server.queries_for("late.test.")
    for ident in (late.ident, late.ident + 1, 0):
        late.connection.answer_if_open(late, ident=ident & 0xFFFF, answer=[forged(POINTER)])
    assert_not_learnt(sotto, server)
    server.on_query = answer
    assert_own_answer(ask(sotto.address, "late.test"), "late.test")


# Replies that say more than was asked

ALIAS = wire.record(POINTER, wire.CNAME, VICTIM_WIRE)
HONEST = address_record(1)


def delegation(owner: bytes) -> bytes:
    return wire.record(owner, wire.NS, WWW_WIRE, 86400)


# What the reply has besides, and whether it is kept as the answer to its own question.
EXTRAS = {
    "in-the-answer": ({"answer": [HONEST, forged(), forged(WWW_WIRE)]}, True),
    "before-the-answer": ({"answer": [forged(), forged(WWW_WIRE), HONEST]}, True),
    "in-the-authority": ({"answer": [HONEST], "authority": [forged(), forged(WWW_WIRE)]}, True),
    "in-the-additional": ({"answer": [HONEST], "additional": [forged(), forged(WWW_WIRE)]}, True),
    "a-delegation-with-glue": (
        {
            "answer": [HONEST],
            "authority": [delegation(VICTIM_WIRE), delegation(b"\4test\0"), delegation(b"\0")],
            "additional": [forged(WWW_WIRE), forged()],
        },
        True,
    ),
    "a-referral": (
        {"answer": [], "authority": [delegation(b"\4test\0")], "additional": [forged(WWW_WIRE)]},
        False,
    ),
    "an-alias": ({"answer": [ALIAS, forged()]}, True),
    "an-alias-loop": (
        {"answer": [ALIAS, wire.record(VICTIM_WIRE, wire.CNAME, wire.name_wire("poison.test"))]},
        False,
    ),
    "an-alias-of-the-parent": (
        {"answer": [wire.record(b"\4test\0", 39, b"\6forged\0"), HONEST]},
        True,
    ),
    "only-of-others": ({"answer": [forged(), forged(WWW_WIRE)]}, False),
    "only-of-the-parent": ({"answer": [forged(b"\4test\0")]}, False),
    "only-another-type": ({"answer": [wire.record(POINTER, wire.TXT, b"\1x")]}, False),
    "another-class": ({"answer": [HONEST, CHAOS]}, False),
    "no-name-by-a-stranger": (
        negative(wire.NXDOMAIN, owner=VICTIM_WIRE, additional=[forged()]),
        False,
    ),
    "no-type-by-a-stranger": (negative(wire.NOERROR, owner=WWW_WIRE), False),
    "no-name-by-a-child": (
        negative(wire.NXDOMAIN, owner=wire.name_wire("www.poison.test")),
        False,
    ),
    "no-name-but-there-it-is": (negative(wire.NXDOMAIN, answer=[HONEST]), False),
    "no-name-with-others": (negative(wire.NXDOMAIN, answer=[forged()]), False),
    "no-name-of-another-class": (
        {
            "rcode": wire.NXDOMAIN,
            "answer": [],
            "authority": [wire.soa_record(), CHAOS],
        },
        False,
    ),
    "soa-in-the-answer": ({"rcode": wire.NXDOMAIN, "answer": [wire.soa_record()]}, False),
    "names-behind-the-opt": (
        {"answer": [HONEST], "edns": False, "additional": [wire.opt_record(), forged()]},
        False,
    ),
    "a-client-subnet": (
        {"answer": [HONEST], "options": [(wire.OPTION_ECS, b"\0\1\x18\x18\xc0\0\2")]},
        False,
    ),
    "a-client-subnet-for-all": (
        {"answer": [HONEST], "options": [(wire.OPTION_ECS, b"\0\1\0\0")]},
        False,
    ),
    "another-edns": (
        {"answer": [HONEST], "edns": False, "additional": [wire.opt_record(version=1)]},
        False,
    ),
    "ttl-2^31": ({"answer": [address_record(1, 1 << 31)]}, False),
    "ttl-2^32-1": ({"answer": [HONEST, address_record(2, (1 << 32) - 1)]}, False),
}


@pytest.mark.parametrize(("changes", "kept"), EXTRAS.values(), ids=EXTRAS.keys())
def test_nothing_is_learnt_but_the_answer_itself(dot_server, forward, changes, kept):
    """R6 R8 R10; and what makes no sense as an answer is not kept as one."""
    server = dot_server(on_query=by_name(poison=answering(**changes)))
    sotto = forward(server, cache={})
    for count in (1, 2, 3):
        ask(sotto.address, "poison.test", tcp=count == 2)
        assert len(server.queries_for("poison.test.")) == (1 if kept else count)
    assert_not_learnt(sotto, server, VICTIM, WWW)
    assert_not_learnt(sotto, server, "test", "forged", "below.poison.test")


def test_a_name_does_not_speak_for_those_below_it(dot_server, forward):
    """No name, no delegation and no alias cuts off what is there (RFC 8020 is for validators)."""
    server = dot_server(on_query=by_name(gone=answering(**negative(wire.NXDOMAIN))))
    sotto = forward(server, cache={})
    assert ask(sotto.address, "gone.test").rcode() == wire.NXDOMAIN
    assert_own_answer(ask(sotto.address, "below.gone.test"), "below.gone.test")


def test_the_largest_ttl_ends(dot_server, forward):
    """R8: no answer is kept for longer than max-ttl, whatever the upstream says."""
    server = dot_server(on_query=numbered(ttl=0x7FFFFFFF))
    sotto = forward(server, cache={})
    for _ in range(2):
        assert ask(sotto.address, "ever.test").answer[0].ttl <= 86400


# The upstreams that answers are from


def with_upstream(sotto, server) -> dict:
    """Its configuration, with another server."""
    config = sotto.config
    servers = [{**config["upstream"]["servers"][0], "url": server.url}]
    return {**config, "upstream": {**config["upstream"], "servers": servers}}


def forging(dot_server):
    return dot_server(on_query=answering(answer=[forged(POINTER)]))


@pytest.mark.parametrize("workers", [1, 2])
def test_other_upstreams_have_other_answers(dot_server, forward, workers):
    """What one has said is no answer of another's: a reload with others empties the cache."""
    liar, honest = forging(dot_server), dot_server()
    sotto = forward(liar, cache={}, process={"workers": workers})
    for _ in range(2):
        assert ask(sotto.address, VICTIM).answer[0][0].address == "192.0.2.66"
    mark = sotto.mark()
    sotto.reload(with_upstream(sotto, honest))
    assert sotto.log_lines("cache: emptied: its answers were those of other upstreams", mark)
    assert_not_learnt(sotto, honest)
    assert len(liar.queries) == 1


def test_the_same_upstreams_have_the_same_answers(dot_server, forward):
    """A reload that changes other things does not empty it."""
    server = dot_server(on_query=numbered())
    sotto = forward(server, cache={})
    assert number_of(ask(sotto.address, VICTIM)) == 1
    mark = sotto.mark()
    sotto.reload({**sotto.config, "identity": {"version": "another"}})
    assert number_of(ask(sotto.address, VICTIM)) == 1
    assert not sotto.log_lines("emptied", mark)


def test_what_a_former_upstream_says_late_is_not_kept(dot_server, forward):
    """It was asked before the reload, and answers after it: for those who waited, and nobody else."""
    liar, honest = dot_server(on_query=hold), dot_server()
    sotto = forward(liar, cache={}, timeout=10.0)
    with UdpClient(sotto.address) as client:
        client.send(wire.query(VICTIM))
        liar.wait_queries(1)
        sotto.reload(with_upstream(sotto, honest))
        liar.queries[0].connection.answer_if_open(liar.queries[0], answer=[forged(POINTER)])
        assert wire.parse(client.receive()).rcode() == wire.NOERROR
    assert_not_learnt_but_once(sotto, honest)


def assert_not_learnt_but_once(sotto, server) -> None:
    """The former one's connection may have been closed, and the question put to the new one."""
    for _ in range(2):
        assert_own_answer(ask(sotto.address, VICTIM), VICTIM)
    assert len(server.queries_for(VICTIM + ".")) == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_letter_case_is_no_way_to_ask_twice(dot_server, forward, workers):
    """Spellings are one question, so that none of them gives another chance to answer it."""
    server = dot_server(on_query=by_name(victim=hold))
    sotto = forward(server, cache={}, timeout=10.0, process={"workers": workers})
    spellings = [VICTIM, VICTIM.upper(), VICTIM.title(), VICTIM.swapcase().title()] * 5
    clients = [UdpClient(sotto.address) for _ in spellings]
    for client, name in zip(clients, spellings):
        client.send(wire.query(name))
    sotto.wait_count("joined queries", len(spellings) - 1)
    server.wait_queries(1)
    (query,) = server.queries
    query.connection.answer(query)
    for client, name in zip(clients, spellings):
        with client:
            assert_own_raw(client.receive(), name)
    for name in spellings:
        assert_own_answer(exchange(sotto.address, name), name)
    assert len(server.queries) == 1
